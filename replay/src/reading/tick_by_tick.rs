//! Whether a subscriber gets a backlog merged, or tick by tick.
//!
//! A transaction holds a lock on each table that it writes, and on most of the tables' indexes, until its end, and a
//! server has room for a fixed number of locks (`max_locks_per_transaction`). A backlog that is merged into one batch
//! may need more locks than that although each of its ticks does not. So after such a failure a batch is one tick,
//! until the subscriber has applied a batch that no other event follows.
//!
//! Another reason is a subscriber whose own queue logs what it applies. Who comes to that queue from the log that this
//! subscriber reads may stand at any of the log's ticks, also between two that were applied at once. A row that comes
//! with one and goes with the other would then be in no event, and would stay there for ever.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A subscriber's wish for batches of one tick, as its reader sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TickByTick(Arc<Wishes>);

#[derive(Debug, Default)]
struct Wishes {
    lacks_memory: AtomicBool,
    relays: AtomicBool,
}

impl TickByTick {
    /// Makes each batch one tick, from the next batch on; false if that was so already.
    pub(crate) fn begin(&self) -> bool {
        !self.0.lacks_memory.swap(true, Ordering::Relaxed)
    }

    /// Allows merged batches again. To be called when a batch is applied that no other event follows, and not when it
    /// is read: one tick may be too large by itself.
    pub(crate) fn end(&self) {
        self.0.lacks_memory.store(false, Ordering::Relaxed);
    }

    /// Makes each batch one tick as long as the subscriber's own queue logs what it applies; true if that is new.
    pub(crate) fn relay(&self, relays: bool) -> bool {
        self.0.relays.swap(relays, Ordering::Relaxed) != relays
    }

    /// Whether the subscriber's own queue logs what it applies.
    pub(crate) fn relays(&self) -> bool {
        self.0.relays.load(Ordering::Relaxed)
    }

    /// Whether a batch must be one tick.
    pub(super) fn is_on(&self) -> bool {
        self.0.lacks_memory.load(Ordering::Relaxed) || self.relays()
    }
}
