//! Asks the databases for their status. A database that cannot be asked becomes a fact of the report, never an error of
//! the whole report. One time limit holds for all questions together.

use std::time::Duration;

use tokio::time::Instant;

use super::verdict::{LAG_LIMITS, Unasked};
use crate::config::DaemonConfig;
use crate::daemon::is_running;
use crate::exit::{hint_of, log_line};

/// How long all questions together may take by default.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The time limit of the questions, and the limits that the answers are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    started: Instant,
    patience: Duration,
    /// Lags of a subscriber, in seconds, that are a warning and critical.
    pub limits: (f64, f64),
}

impl Asking {
    /// Questions that must all be answered within this time from now.
    pub fn within(patience: Duration) -> Asking {
        Asking {
            started: Instant::now(),
            patience,
            limits: LAG_LIMITS,
        }
    }

    /// The answer, or why there is no answer in time, without values of rows.
    pub async fn ask<T>(
        &self,
        asked: impl Future<Output = anyhow::Result<T>>,
    ) -> Result<T, Unasked> {
        match tokio::time::timeout_at(self.started + self.patience, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unasked {
                error: log_line(error.as_ref()),
                advice: hint_of(&error),
            }),
            Err(_) => Err(Unasked {
                error: format!("no answer within {} s", self.patience.as_secs_f64()),
                advice: Some("does the server hang, or the network?".to_owned()),
            }),
        }
    }
}

/// What the pid file says of this host's daemon.
pub(super) struct OnThisHost {
    /// The process that runs with this config; none: no process runs, or none is known.
    pub(super) pid: Option<i32>,
    /// Why the pid file says nothing: it may not be read, or is not believed.
    pub(super) problem: Option<String>,
}

pub(super) fn on_this_host(config: &DaemonConfig) -> OnThisHost {
    match is_running(config) {
        Ok(pid) => OnThisHost {
            pid: pid.map(|pid| pid.as_raw()),
            problem: None,
        },
        Err(failure) => OnThisHost {
            pid: None,
            problem: Some(log_line(failure.error.as_ref())),
        },
    }
}
