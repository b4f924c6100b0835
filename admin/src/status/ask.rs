//! Asks the databases how they stand. A database that cannot be asked becomes a fact of the
//! report, never an error of the whole; every question is bounded by the connection's timeouts.

use std::time::Duration;

use crate::config::DaemonConfig;
use crate::daemon::is_running;
use crate::exit::one_line;

/// An answer that takes longer is no answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The process that runs with this config; None: none, or none that may be known.
pub(super) fn pid(config: &DaemonConfig) -> Option<i32> {
    // A pid file that may not be read says nothing about this host's daemon.
    is_running(config).ok().flatten().map(|pid| pid.as_raw())
}

/// An answer in time, or one line that says why not.
pub(super) async fn within<T>(asked: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(one_line(error.as_ref())),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
