//! The progress of a batch that takes long, and where batches are read, as the subscriber shows it. It is written by
//! another session than the one that applies the batch, whose writes are not visible before its commit.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use sql::{connect::Session, subscriber::position};

use super::shared::Subscription;
use crate::trouble::Trouble;

/// The least time between two writes of the progress, a row of one column; it is written only while a batch is being
/// applied.
const BETWEEN_SHOWS: Duration = Duration::from_secs(1);

/// The progress that is shown.
#[derive(Default)]
pub(crate) struct Progress {
    /// The number of rows that is shown; none: not known.
    shown: Option<u64>,
    at: Option<Instant>,
    /// The source that is shown; none: not known.
    source: Option<Option<Arc<str>>>,
}

impl Progress {
    /// Shows the progress if it has changed, and not too often.
    pub(crate) async fn show(
        &mut self,
        sub: &Subscription,
        subscriber: &Session,
    ) -> Result<(), Trouble> {
        let source = sub.source();
        if let Some(known) = source.as_ref().filter(|_| self.source != source) {
            position::show_source(&**subscriber, &sub.consumer, known.as_deref()).await?;
            self.source = source;
        }
        let rows = sub.totals.batch_rows.load(Ordering::Relaxed);
        let rests = self.at.is_some_and(|at| at.elapsed() < BETWEEN_SHOWS);
        if self.shown == Some(rows) || (rests && rows > 0) {
            return Ok(());
        }
        let shown = (rows > 0).then(|| i64::try_from(rows).unwrap_or(i64::MAX));
        position::show_progress(&**subscriber, &sub.consumer, shown).await?;
        (self.shown, self.at) = (Some(rows), Some(Instant::now()));
        Ok(())
    }
}
