//! A round of maintenance: rotation of event tables, reclaiming of ticks, and what else the queue asks for.

use sql::Error;
use sql::connect::Session;
use sql::maintenance;

use crate::database_loop::Database;
use crate::upkeep::piece_failed;

/// How often one operation may ask to be called again in one round; the next round goes on.
const REPEATS_MAX: usize = 10_000;

/// Does what `pgq.maint_operations()` lists, each in a transaction of its own; one that fails does not stop the rest.
///
/// # Errors
/// The list cannot be had, or the connection broke.
pub(crate) async fn round(database: &Database, session: &Session) -> Result<(), Error> {
    for operation in maintenance::operations(&**session).await? {
        for _ in 0..REPEATS_MAX {
            if database.stop.is_cancelled() {
                return Ok(());
            }
            match operation.run(&**session).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    piece_failed(database, session, error)?;
                    break;
                }
            }
        }
        tracing::debug!(
            database = database.name(),
            operation = operation.name,
            argument = operation.argument,
            "maintenance"
        );
    }
    Ok(())
}
