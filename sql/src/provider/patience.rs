//! Taking a table's lock on the provider without making its writers wait: each try waits only
//! a moment, so that nobody queues behind us for long.

use std::time::{Duration, Instant};

use tokio_postgres::{Error, error::SqlState};

use crate::connect::Session;

/// How long one try waits for the lock.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);
/// How long to try again before giving up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sets the session's `lock_timeout` for [`with_lock`].
pub async fn prepare(session: &Session) -> Result<(), Error> {
    session
        .batch_execute(&format!("set lock_timeout = {}", LOCK_TIMEOUT.as_millis()))
        .await
}

/// Runs a statement that takes a table's lock until it gets it. None if it could not be had in
/// a minute.
pub async fn with_lock<T>(
    mut statement: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let start = Instant::now();
    loop {
        match statement().await {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                if start.elapsed() > PATIENCE {
                    return Ok(None);
                }
                // Whoever queued behind us goes first.
                tokio::time::sleep(LOCK_TIMEOUT).await;
            }
            Err(error) => return Err(error),
        }
    }
}
