//! What the tasks of one database share: how to reach the database, its settings, the requests to stop, and where
//! outcomes are reported.

use std::sync::Arc;
use std::time::Duration;

use admin::daemon::Reports;
use sql::Error;
use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;
use crate::stats::Stats;
use crate::trouble::{Trouble, log_database};
use crate::watched::Watched;

/// What a database's tasks share.
#[derive(Clone)]
pub(crate) struct Database {
    /// How the database is reached.
    pub(crate) connect: ConnectInfo,
    /// The job's name, for `application_name`.
    pub(crate) job_name: String,
    /// Settings, replaced by a reload.
    pub(crate) pace: watch::Receiver<Pace>,
    /// Asks to finish the running statement and end.
    pub(crate) stop: CancellationToken,
    /// Asks to end at once.
    pub(crate) stop_now: CancellationToken,
    /// The process's counters.
    pub(crate) stats: Arc<Stats>,
    /// Takes the outcomes of tries, for the start's report.
    pub(crate) reports: Reports,
}

/// What the loop of a database is called in the start's report.
pub(crate) fn task_name(database: &str) -> String {
    format!("database {database}")
}

impl Database {
    /// The database's name.
    pub(crate) fn name(&self) -> &str {
        self.connect.dbname()
    }

    /// A session for a purpose; None: the daemon was asked to stop meanwhile.
    pub(crate) async fn session(&self, purpose: Purpose) -> Result<Option<Watched>, Trouble> {
        let application_name = ApplicationName::new(purpose, &self.job_name);
        tokio::select! {
            session = self.connect.connect(&application_name) => {
                Ok(Some(Watched::new(session?, self.stop_now.clone())))
            }
            () = self.stop.cancelled() => Ok(None),
        }
    }

    /// Sleeps; true: the daemon was asked to stop meanwhile.
    pub(crate) async fn sleep(&self, delay: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(delay) => false,
            () = self.stop.cancelled() => true,
        }
    }

    /// Reports the outcome of a try, with its error if there was one.
    pub(crate) fn tell(&self, error: Option<String>) {
        self.reports.tell(&task_name(self.name()), error);
    }

    /// Handles the error of one step of a round. If the connection is gone, the round ends; else the error is logged
    /// and the round goes on.
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
