//! What the readers of a job read.

use std::sync::Arc;

use admin::config::ArchiveSource;

use crate::queue::ticks::Ticks;

/// What a reader reads, and its limits.
#[derive(Clone)]
pub(crate) struct Feed {
    /// The queue.
    pub queue: String,
    /// Events merged into one batch when behind.
    pub max_events: i64,
    /// Bytes of changes held in memory before they are handed over.
    pub chunk_bytes: usize,
    /// The archives that are read where the queue has given events away, the first one first.
    pub archives: Arc<[ArchiveSource]>,
    /// Wakes the reader when there may be a new tick.
    pub ticks: Ticks,
}
