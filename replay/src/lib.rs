//! Replay: COPY-based initial sync, then batches, beside the subscriber.
//!
//! `batch_loop` tells the story of one batch; the rooms around it are `source` (the
//! provider's side), `change` and `fold` (pure), `table` (states, pure), `apply` (the
//! subscriber's side) and `copy` (initial sync).

pub mod apply;
pub mod batch_loop;
pub mod change;
pub mod copy;
pub mod fold;
mod sequences;
pub mod source;
mod stats;
mod subscriber;
mod subscription;
pub mod table;
mod table_tasks;
mod take_over;
mod trouble;
pub mod worker;
