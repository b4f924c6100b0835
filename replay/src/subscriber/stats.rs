//! The work of the batch loop since the last `stats` line.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tracing::info;

use crate::batch::Header;

/// The counters of one subscriber since the config was read, for the status page and the metrics.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Batches applied.
    pub batches: AtomicU64,
    /// Events read.
    pub events: AtomicU64,
    /// Rows written.
    pub rows: AtomicU64,
    /// Rows that the present batch has written so far, if it has several parts; else 0.
    pub batch_rows: AtomicU64,
    /// Transactions that failed for a transient reason and were tried again.
    pub retries: AtomicU64,
}

/// Counters of one subscriber; they outlive reconnections.
#[derive(Debug)]
pub(crate) struct Stats {
    consumer: String,
    period: Duration,
    since: Instant,
    batches: u64,
    events: u64,
    rows: u64,
    retries: u64,
    totals: Arc<Totals>,
    /// When a batch was last committed, or a line last told its progress.
    told: Instant,
    /// The time from the making of the last applied tick to its commit, by the two servers' clocks.
    lag: Duration,
}

impl Stats {
    /// Counters at zero. `period` is the time between two lines.
    pub(crate) fn new(consumer: &str, period: Duration, totals: Arc<Totals>) -> Stats {
        Stats {
            consumer: consumer.to_owned(),
            period,
            since: Instant::now(),
            batches: 0,
            events: 0,
            rows: 0,
            retries: 0,
            totals,
            told: Instant::now(),
            lag: Duration::ZERO,
        }
    }

    /// Counts a batch that was committed.
    pub(crate) fn batch(&mut self, events: u64, rows: u64, header: &Header) {
        self.nothing_under_way();
        self.told = Instant::now();
        self.batches += 1;
        self.events += events;
        self.rows += rows;
        self.totals.batches.fetch_add(1, Ordering::Relaxed);
        self.totals.events.fetch_add(events, Ordering::Relaxed);
        self.totals.rows.fetch_add(rows, Ordering::Relaxed);
        // If the provider's clock is ahead, the lag is zero, not negative.
        self.lag = SystemTime::now()
            .duration_since(header.to_time)
            .unwrap_or_default();
        self.tell_if_due();
    }

    /// Notes the progress of a batch of several parts, and logs it when a line is due.
    pub(crate) fn under_way(&mut self, rows: u64, header: &Header) {
        self.totals.batch_rows.store(rows, Ordering::Relaxed);
        if self.told.elapsed() >= self.period {
            info!(consumer = %self.consumer, to_tick = header.to.tick.id.0, rows, "batch under way");
            self.told = Instant::now();
        }
    }

    /// Notes that no batch is being applied.
    pub(crate) fn nothing_under_way(&mut self) {
        self.totals.batch_rows.store(0, Ordering::Relaxed);
    }

    /// Counts a transaction that is tried again.
    pub(crate) fn retry(&mut self) {
        self.retries += 1;
        self.totals.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Batches committed since the config was read.
    pub(crate) fn batches_ever(&self) -> u64 {
        self.totals.batches.load(Ordering::Relaxed)
    }

    /// Logs the line when it is due.
    pub(crate) fn tell_if_due(&mut self) {
        if self.since.elapsed() < self.period {
            return;
        }
        info!(
            consumer = %self.consumer,
            batches = self.batches,
            events = self.events,
            rows = self.rows,
            retries = self.retries,
            lag = format_args!("{:.3}", self.lag.as_secs_f64()),
            "stats"
        );
        (self.batches, self.events, self.rows, self.retries) = (0, 0, 0, 0);
        self.since = Instant::now();
    }
}
