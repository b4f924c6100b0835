//! Replay: COPY-based initial sync, then batches, beside the subscriber.
//!
//! `subscriber::batch_loop` is the story of one batch. The modules around it are:
//!
//! - `queue`: the provider's side; `files`: an archive in its place;
//! - `reading`, `change`, `fold` and `batch`: from events to folded parts; the last three are pure;
//! - `set`: which of several hosts is followed;
//! - `lost`: what a provider of the past has taken that the later one never had;
//! - `table`: the states of tables, pure;
//! - `apply`: the subscriber's side;
//! - `copy`: initial sync;
//! - `compare`: both sides of a table, compared while it is written;
//! - `base`: makes bases of an archive; `restore`: makes a database of one and of what follows it;
//! - `archive`: a subscriber that keeps the queue in files, in the formats of `frames`;
//! - `join`: how a table joins the replication.
//!
//! `daemon` runs them; `command` and `http` are what an operator meets.

mod apply;
mod archive;
mod base;
mod batch;
mod change;
pub mod cli;
mod command;
mod compare;
mod copy;
mod daemon;
mod files;
mod fold;
pub mod frames;
mod http;
mod join;
mod lost;
mod pg_dump;
mod queue;
mod reading;
mod restore;
mod set;
mod subscriber;
mod table;
mod trouble;
