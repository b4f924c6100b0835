//! Shows how far a copy is, about once a second.

use std::time::{Duration, Instant};

use sql::{connect::Session, name::TableName, subscriber::table_state};
use tracing::debug;

use super::stream::Gauge;

const PERIOD: Duration = Duration::from_secs(1);

/// The progress of one table's copy.
pub(super) struct Progress<'a> {
    /// The session that stores the progress.
    pub(super) session: &'a Session,
    /// The consumer's name.
    pub(super) consumer: &'a str,
    /// The table, by its name on the provider.
    pub(super) table: &'a TableName,
    /// The number of rows that the provider's planner expects.
    pub(super) rows_estimated: i64,
    /// When the progress was last stored.
    pub(super) shown: Option<Instant>,
}

impl Progress<'_> {
    /// Stores the progress if it was last stored long ago. A failure costs the display only.
    pub(super) async fn show_if_due(&mut self, gauge: &Gauge) {
        if self.shown.is_some_and(|shown| shown.elapsed() < PERIOD) {
            return;
        }
        self.shown = Some(Instant::now());
        let (rows, bytes) = gauge.read();
        if let Err(error) = table_state::show_progress(
            &**self.session,
            self.consumer,
            self.table,
            rows,
            bytes,
            Some(self.rows_estimated),
        )
        .await
        {
            let error = admin::exit::log_line(&error);
            debug!(table = %self.table, error, "progress is not shown");
        }
    }
}
