//! Counters of the whole process, for the `stats` line of the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What happened since the last line and since the program began, and what holds now.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    ticks: AtomicU64,
    errors: AtomicU64,
    retried: AtomicU64,
    ticking: AtomicU64,
    /// Milliseconds.
    longest_delay: AtomicU64,
    all_ticks: AtomicU64,
    all_errors: AtomicU64,
}

impl Stats {
    /// Counts a committed tick.
    pub(crate) fn ticked(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        self.all_ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the time from a look that found a queue to tick to the next one.
    pub(crate) fn paced(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.longest_delay.fetch_max(millis, Ordering::Relaxed);
    }

    /// Counts a logged failure.
    pub(crate) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.all_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events that were put back into their queues.
    pub(crate) fn retried(&self, events: u64) {
        self.retried.fetch_add(events, Ordering::Relaxed);
    }

    /// Ticks since the program began.
    pub(crate) fn all_ticks(&self) -> u64 {
        self.all_ticks.load(Ordering::Relaxed)
    }

    /// Failures since the program began.
    pub(crate) fn all_errors(&self) -> u64 {
        self.all_errors.load(Ordering::Relaxed)
    }

    /// Counts a database as ticked until the result is dropped.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        self.ticking.fetch_add(1, Ordering::Relaxed);
        Ticking(self)
    }

    /// Writes the line and begins a new period.
    pub(crate) fn log(&self) {
        let longest = Duration::from_millis(self.longest_delay.swap(0, Ordering::Relaxed));
        tracing::info!(
            ticks = self.ticks.swap(0, Ordering::Relaxed),
            longest_delay = longest.as_secs_f64(),
            databases = self.ticking.load(Ordering::Relaxed),
            retried = self.retried.swap(0, Ordering::Relaxed),
            errors = self.errors.swap(0, Ordering::Relaxed),
            "stats"
        );
    }
}

/// Counts a database as ticked while it lives.
pub(crate) struct Ticking<'a>(&'a Stats);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.ticking.fetch_sub(1, Ordering::Relaxed);
    }
}
