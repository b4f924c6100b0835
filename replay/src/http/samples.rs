//! What the page shows: the state of the job now, asked from the databases at most once a second however many readers
//! there are, and the state in the last hour.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex as SyncMutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use admin::{
    config::ReplayConfig,
    status::{Asking, Promotable, ReplayStatus, of_replay},
};
use tokio::sync::Mutex;

use crate::subscriber::stats::Totals;

/// A database that has not answered within this time is shown so; a reader of the page or of its health waits no
/// longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may be used again.
const FRESH: Duration = Duration::from_secs(1);

/// Time between two samples of the history.
const PERIOD: Duration = Duration::from_secs(10);

/// Samples that are kept: an hour.
const KEPT: usize = 360;

/// What a subscriber has done since the program began, by its consumer's name.
pub(crate) type Counted = Vec<(String, Arc<Totals>)>;

/// The state of the job.
pub(super) struct Now {
    asked: Instant,
    pub(super) status: ReplayStatus,
}

/// Whether the standby could become the provider.
pub(super) type Promotion = Arc<Result<Promotable, String>>;

/// The state of a subscriber at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Seconds that the subscriber is behind; none: not known.
    pub(super) lag: Option<f64>,
    /// Rows applied since the program began.
    pub(super) rows: u64,
}

/// All subscribers at one moment, in the order of the config.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) readings: Vec<Reading>,
}

/// Asks the databases and keeps the answers.
pub(super) struct Samples {
    config: ReplayConfig,
    counted: Counted,
    now: Mutex<Option<Arc<Now>>>,
    promotion: Mutex<Option<(Instant, Promotion)>>,
    history: SyncMutex<VecDeque<Sample>>,
}

impl Samples {
    pub(super) fn new(config: ReplayConfig, counted: Counted) -> Samples {
        Samples {
            config,
            counted,
            now: Mutex::default(),
            promotion: Mutex::default(),
            history: SyncMutex::default(),
        }
    }

    /// The state of the job, at most a second old. A request that comes while the databases are asked waits for that
    /// answer.
    pub(super) async fn now(&self) -> Arc<Now> {
        let mut last = self.now.lock().await;
        if let Some(now) = &*last
            && now.asked.elapsed() < FRESH
        {
            return Arc::clone(now);
        }
        let now = Arc::new(Now {
            status: of_replay(&self.config, &Asking::within(PATIENCE)).await,
            asked: Instant::now(),
        });
        *last = Some(Arc::clone(&now));
        now
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

    /// The last hour, the oldest first.
    pub(super) fn history(&self) -> Vec<Sample> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.iter().cloned().collect()
    }

    /// Takes a sample every [`PERIOD`].
    pub(super) async fn take_for_ever(&self) {
        let mut due = tokio::time::interval(PERIOD);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let now = self.now().await;
            let sample = Sample {
                at: now.asked,
                readings: self.readings(&now.status),
            };
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.push_back(sample);
            while history.len() > KEPT {
                history.pop_front();
            }
        }
    }

    fn readings(&self, status: &ReplayStatus) -> Vec<Reading> {
        let subscribers = status.subscribers.iter();
        subscribers
            .zip(&self.counted)
            .map(|(subscriber, (_, totals))| Reading {
                lag: subscriber.lag_seconds,
                rows: totals.rows.load(Ordering::Relaxed),
            })
            .collect()
    }
}
