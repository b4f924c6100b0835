//! The files of an archive as a source of batches, in place of the provider's queue. Only reads.
//!
//! - `trail`: the frames that follow a position, segment by segment;
//! - `border`: where they go on in the queue of another provider;
//! - `batches`: one or several of these as a batch; `stream`: a batch's events;
//! - `apply`: writes all of them to a subscriber's database.

pub(crate) mod apply;
pub(crate) mod batches;
pub(crate) mod border;
pub(crate) mod stream;
pub(crate) mod trail;
pub(crate) mod unreadable;

#[cfg(test)]
mod tests;
