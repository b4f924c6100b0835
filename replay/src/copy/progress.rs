//! Shows how far a copy is, about once a second.

use std::time::{Duration, Instant};

use sql::table_state::{self, TableRow};
use tokio_postgres::Client;
use tracing::debug;

use super::stream::Copied;
use crate::subscription::Subscription;

const PERIOD: Duration = Duration::from_secs(1);

/// The progress of one table's copy.
pub(super) struct Progress<'a> {
    sub: &'a Subscription,
    row: &'a TableRow,
    rows_estimated: i64,
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// Nothing copied, nothing shown. `rows_estimated` is what the provider's statistics say.
    pub(super) fn new(
        sub: &'a Subscription,
        row: &'a TableRow,
        rows_estimated: i64,
    ) -> Progress<'a> {
        Progress {
            sub,
            row,
            rows_estimated,
            shown: None,
        }
    }

    /// Stores the progress if the last time was long ago. A failure costs the display only.
    pub(super) async fn show_if_due(&mut self, admin: &Client, copied: Copied) {
        if self.shown.is_some_and(|shown| shown.elapsed() < PERIOD) {
            return;
        }
        self.shown = Some(Instant::now());
        if let Err(error) = table_state::show_progress(
            admin,
            &self.sub.consumer,
            &self.row.table,
            copied.rows,
            copied.bytes,
            Some(self.rows_estimated),
        )
        .await
        {
            debug!(table = %self.row.table, %error, "progress is not shown");
        }
    }
}
