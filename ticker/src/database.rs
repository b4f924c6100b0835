//! What the tasks of one database share: how to get there, its settings, when to stop, and where to tell.

use std::sync::Arc;
use std::time::Duration;

use sql::Error;
use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;
use crate::stats::Stats;
use crate::trouble::{Trouble, log_database};
use crate::watched::Watched;

/// What a database's tasks share.
#[derive(Clone)]
pub(crate) struct Database {
    /// How to get there.
    pub(crate) connect: ConnectInfo,
    /// The job's name, for `application_name`.
    pub(crate) job_name: String,
    /// Settings, replaced by a reload.
    pub(crate) pace: watch::Receiver<Pace>,
    /// Finish the statement in hand and end.
    pub(crate) stop: CancellationToken,
    /// End at once.
    pub(crate) stop_now: CancellationToken,
    /// The process's counters.
    pub(crate) stats: Arc<Stats>,
    /// Where the first outcome of a try is told: the database's name, and an error if there was one.
    pub(crate) news: mpsc::UnboundedSender<(String, Option<String>)>,
}

impl Database {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.connect.dbname()
    }

    /// A session for a purpose; None: asked to stop meanwhile.
    pub(crate) async fn session(&self, purpose: Purpose) -> Result<Option<Watched>, Trouble> {
        let application_name = ApplicationName::new(purpose, &self.job_name);
        tokio::select! {
            session = self.connect.connect(&application_name) => {
                Ok(Some(Watched::new(session?, self.stop_now.clone())))
            }
            () = self.stop.cancelled() => Ok(None),
        }
    }

    /// Sleeps; true: asked to stop meanwhile.
    pub(crate) async fn sleep(&self, delay: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(delay) => false,
            () = self.stop.cancelled() => true,
        }
    }

    /// Tells the outcome of a try; an error if there was one.
    pub(crate) fn tell(&self, error: Option<String>) {
        // Nobody listens any more once the start has been reported.
        let _ = self.news.send((self.name().to_owned(), error));
    }

    /// An error of one piece of work: the round ends if the connection is gone, else it is logged and the round goes on.
    pub(crate) fn piece_failed(&self, session: &Session, error: Error) -> Result<(), Error> {
        if session.is_closed() || self.stop.is_cancelled() {
            return Err(error);
        }
        self.stats.failed();
        log_database(
            self.name(),
            error.class(),
            &admin::exit::one_line(&error),
            "maintenance failed, trying again",
        );
        Ok(())
    }
}
