//! Whether a backlog is given to a subscriber as it comes, or tick by tick.
//!
//! A transaction holds a lock on each table that it writes, and on most of their indexes, until its end, and
//! a server has room for so many locks and no more (`max_locks_per_transaction`). A backlog that is merged
//! into one batch may need more than that where each of its ticks does not. So after such a failure a
//! batch is one tick, until the subscriber has applied one that no other follows.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What a subscriber wants, seen by who reads for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TickByTick(Arc<AtomicBool>);

impl TickByTick {
    /// A batch is one tick from the next one on; false if it was so already.
    pub(crate) fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// Batches may be as large as they come. To be called when one is applied that no other follows, and not when
    /// it is read: one tick may be too large by itself.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether a batch is to be one tick.
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
