//! Replay: COPY-based initial sync, then batches, beside the subscriber.
//!
//! `batch_loop` tells the story of one batch; the rooms around it are `source` (the
//! provider's side), `change` and `fold` (pure), `table` (states, pure), `apply` (the
//! subscriber's side) and `copy` (initial sync).

mod apply;
mod auto_add;
mod batch_loop;
mod change;
pub mod cli;
mod command;
mod copy;
mod fold;
mod http;
mod parking;
mod progress;
mod sequences;
mod skip;
mod source;
mod stats;
mod subscriber;
mod subscription;
mod table;
mod table_tasks;
mod take_over;
mod told;
mod trouble;
mod worker;
