//! What the port shows: the state now, asked from the databases at most once a second however many readers there are,
//! and the history.

use std::future::Future;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::page::{History, PERIOD, Reading};

/// A database that has not answered within this time is shown so; a reader of the page or of its health waits no
/// longer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may be used again.
const FRESH: Duration = Duration::from_secs(1);

/// Something whose state is shown.
pub trait Subject: Send + Sync + 'static {
    /// The state.
    type Status: Send + Sync;

    /// Asks for the state; takes no longer than [`PATIENCE`].
    fn ask(&self) -> impl Future<Output = Self::Status> + Send;

    /// What a state says of each line of the plots.
    fn readings(&self, status: &Self::Status) -> Vec<Reading>;
}

/// The state of a subject.
#[derive(Debug)]
pub struct Watched<S: Subject> {
    subject: S,
    now: Mutex<Option<(Instant, Arc<S::Status>)>>,
    history: SyncMutex<History>,
}

impl<S: Subject> Watched<S> {
    /// A subject that nothing is known of yet.
    pub fn new(subject: S) -> Watched<S> {
        Watched {
            subject,
            now: Mutex::default(),
            history: SyncMutex::default(),
        }
    }

    /// The subject.
    pub fn subject(&self) -> &S {
        &self.subject
    }

    /// The state, at most a second old. A request that comes while the databases are asked waits for that answer.
    pub async fn now(&self) -> Arc<S::Status> {
        let mut last = self.now.lock().await;
        if let Some((asked, status)) = &*last
            && asked.elapsed() < FRESH
        {
            return Arc::clone(status);
        }
        let status = Arc::new(self.subject.ask().await);
        *last = Some((Instant::now(), Arc::clone(&status)));
        status
    }

    /// Reads the history.
    pub fn with_history<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a sample every [`PERIOD`].
    pub async fn take_for_ever(&self) {
        let mut due = tokio::time::interval(PERIOD);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let status = self.now().await;
            let readings = self.subject.readings(&status);
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.add(Instant::now(), readings);
        }
    }
}
