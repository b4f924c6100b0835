//! A round of the retry queue: events whose time has come go back into their queues.

use sql::Error;
use sql::connect::Session;
use sql::queue::maintenance;

use crate::database::Database;

/// The most calls in one round; each call moves up to ten events, and the next round goes on.
const CALLS_MAX: usize = 10_000;

/// Moves the events whose time has come.
///
/// # Errors
/// The connection broke.
pub(crate) async fn round(database: &Database, session: &Session) -> Result<(), Error> {
    for _ in 0..CALLS_MAX {
        if database.stop.is_cancelled() {
            return Ok(());
        }
        match maintenance::retry_events(&**session).await {
            Ok(0) => return Ok(()),
            Ok(moved) => database.stats.retried(moved.unsigned_abs().into()),
            Err(error) => return database.piece_failed(session, error),
        }
    }
    Ok(())
}
