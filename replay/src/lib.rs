//! Replay: COPY-based initial sync, then batches, beside the subscriber.
//!
//! `subscriber::batch_loop` tells the story of one batch; the rooms around it are `queue` (the
//! provider's side), `reading`, `change`, `fold` and `batch` (from events to folded parts; the last three are pure),
//! `table` (states, pure), `apply` (the subscriber's side), `copy` (initial sync) and `join` (how a
//! table comes in). `daemon` runs them, `command` and `http` are what an operator meets.

mod apply;
mod batch;
mod change;
pub mod cli;
mod command;
mod copy;
mod daemon;
mod fold;
mod http;
mod join;
mod queue;
mod reading;
mod subscriber;
mod table;
mod trouble;
