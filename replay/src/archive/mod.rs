//! The archive: a subscriber that keeps the queue itself, in files, so that nothing of it is lost with the provider.
//!
//! - `store`: the directory; `identity`: whose archive it is; `chain`: its segments, and whether they are in order;
//! - `bases`: what there is to restore from; `detail`: what the manifest of an encrypted one leaves out;
//! - `unpacked`: the body of a segment; `verify`: reads all of them;
//! - `filling`: a segment in memory; `writer`: publishes it;
//! - `hashed`: hashes what is read or written; `seal`: encrypts and opens it;
//! - `self_verify`: the daemon verifies it; `proofs`: how that went; `hook`: the operator's command;
//! - `shapes`: the shapes that events name; `hold`: where the archive goes on; `hop`: in another provider's queue;
//! - `place`: where its files end; `left`: the providers that it has left; `line`: the history that goes on;
//! - `frame_loop`: one frame after the other; `life`: the loop over outages; `shared`: what both have.

pub(crate) mod bases;
mod begin;
pub(crate) mod chain;
pub(crate) mod detail;
pub(crate) mod expire;
mod filling;
mod frame_loop;
pub(crate) mod hashed;
pub(crate) mod hold;
mod hole_wait;
pub(crate) mod hook;
mod hop;
pub(crate) mod identity;
pub(crate) mod keep;
mod left;
pub(crate) mod life;
pub(crate) mod line;
pub(crate) mod place;
pub(crate) mod proofs;
pub(crate) mod retention;
pub(crate) mod seal;
mod self_verify;
mod shapes;
pub(crate) mod shared;
pub(crate) mod store;
pub(crate) mod turn;
pub(crate) mod unpacked;
mod upkeep;
pub(crate) mod verify;
mod writer;

#[cfg(test)]
pub(crate) mod tests;
