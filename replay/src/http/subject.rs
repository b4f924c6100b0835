//! A job, as the port shows it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use admin::{
    config::ReplayConfig,
    http::{PATIENCE, Subject},
    page::{self, Reading},
    status::{Asking, Promotable, ReplayStatus, of_replay},
};
use tokio::sync::Mutex;

use crate::subscriber::stats::Totals;

/// How long an answer may be used again.
const FRESH: Duration = Duration::from_secs(1);

/// What a subscriber has done since the program began, by its consumer's name.
pub(crate) type Counted = Vec<(String, Arc<Totals>)>;

/// Whether the standby could become the provider.
pub(super) type Promotion = Arc<Result<Promotable, String>>;

/// Asks the databases of a job.
pub(super) struct Job {
    config: ReplayConfig,
    counted: Counted,
    promotion: Mutex<Option<(Instant, Promotion)>>,
}

impl Job {
    pub(super) fn new(config: ReplayConfig, counted: Counted) -> Job {
        Job {
            config,
            counted,
            promotion: Mutex::default(),
        }
    }

    /// Whether the standby could become the provider, by an answer that is at most a second old.
    pub(super) async fn promotion(&self) -> Promotion {
        let mut last = self.promotion.lock().await;
        if let Some((asked, promotion)) = &*last
            && asked.elapsed() < FRESH
        {
            return Arc::clone(promotion);
        }
        let asking = Asking::within(PATIENCE);
        let promotion = Arc::new(Promotable::ask(&self.config, &asking).await);
        *last = Some((Instant::now(), Arc::clone(&promotion)));
        promotion
    }

    /// What each subscriber has done, by its consumer.
    pub(super) fn counted(&self) -> &Counted {
        &self.counted
    }
}

impl Subject for Job {
    type Status = ReplayStatus;

    async fn ask(&self) -> ReplayStatus {
        of_replay(&self.config, &Asking::within(PATIENCE)).await
    }

    fn readings(&self, status: &ReplayStatus) -> Vec<Reading> {
        let counted = self.counted.iter();
        let rows = counted
            .map(|(consumer, totals)| (consumer.as_str(), totals.rows.load(Ordering::Relaxed)));
        page::replay::readings(status, &rows.collect())
    }
}
