//! A standby: a second daemon of the same kind, which waits until the first one is gone.

use std::time::Duration;

use sql::connect::Session;
use sql::daemon_lock::DaemonLock;
use tokio_util::sync::CancellationToken;

/// Time between two tries of a standby to get the lock.
const LOOK: Duration = Duration::from_secs(1);

/// How a wait for the lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The session has the lock.
    Taken {
        /// Whether another daemon had the lock before.
        waited: bool,
    },
    /// The daemon was asked to stop while it waited.
    Stopped,
}

/// Takes the lock, and waits as a standby as long as another daemon holds it. `waits` is called once, before the first
/// wait.
///
/// # Errors
/// The connection broke.
pub async fn take_turn(
    session: &Session,
    lock: DaemonLock<'_>,
    stop: &CancellationToken,
    waits: impl FnOnce(),
) -> Result<Turn, sql::Error> {
    let mut waits = Some(waits);
    while !lock.try_take(&**session).await? {
        if let Some(waits) = waits.take() {
            waits();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return Ok(Turn::Stopped),
        }
    }
    let waited = waits.is_none();
    Ok(Turn::Taken { waited })
}
