//! What the readers of a job read.

use crate::queue::ticks::Ticks;

/// What the reader reads.
#[derive(Clone)]
pub(crate) struct Feed {
    /// The queue.
    pub queue: String,
    /// Events merged into one batch when behind.
    pub max_events: i64,
    /// Bytes of changes held in memory before they are handed over.
    pub chunk_bytes: usize,
    /// Tells when to look for new ticks.
    pub ticks: Ticks,
}
