//! Asks the databases how they stand. A database that cannot be asked becomes a fact of the
//! report, never an error of the whole; every question is bounded by one time limit for all.

use std::time::Duration;

use tokio::time::Instant;

use super::verdict::{LAG_LIMITS, Unasked};
use crate::config::DaemonConfig;
use crate::daemon::is_running;
use crate::exit::{hint_of, log_line};

/// How long all questions together may take, where nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How long may be asked, and against what is judged.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    started: Instant,
    patience: Duration,
    /// Lags of a subscriber, in seconds, that are a warning and critical.
    pub limits: (f64, f64),
}

impl Asking {
    /// Questions that have to be answered within this time from now on, all of them.
    pub fn within(patience: Duration) -> Asking {
        Asking {
            started: Instant::now(),
            patience,
            limits: LAG_LIMITS,
        }
    }

    /// An answer in time, or why there is none, without values of rows.
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

/// The process that runs with this config; None: none, or none that may be known.
pub(super) fn pid(config: &DaemonConfig) -> Option<i32> {
    // A pid file that may not be read says nothing about this host's daemon.
    is_running(config).ok().flatten().map(|pid| pid.as_raw())
}
