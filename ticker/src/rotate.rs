//! A round of maintenance: rotation of event tables, reclaiming of ticks, and the further operations that the queue
//! lists.

use sql::Error;
use sql::connect::Session;
use sql::install::ownership::{self, Schema};
use sql::queue::Maker;
use sql::queue::maintenance::{self, Operation};

use crate::database::Database;

/// How often one operation may ask to be called again in one round; the next round goes on.
const REPEATS_MAX: usize = 10_000;

/// Runs the operations that the queue lists, each in a transaction of its own; an operation that fails does not stop
/// the rest. Londiste's operations are left out where its schemas belong to a stranger.
///
/// # Errors
/// The list cannot be read, or the connection broke.
pub(crate) async fn round(
    database: &Database,
    session: &Session,
    maker: Maker,
) -> Result<(), Error> {
    if let Err(error) = ownership::prove(&**session, &[Schema::PgqNode, Schema::Londiste]).await {
        database.piece_failed(session, error)?;
    }
    for operation in maintenance::operations(&**session, maker).await? {
        for _ in 0..REPEATS_MAX {
            if database.stop.is_cancelled() {
                return Ok(());
            }
            match operation.run(&**session).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Of a queue that was dropped since the list was made there is nothing to be done, and nothing is
                    // wrong.
                    if is_listed(session, maker, &operation).await? {
                        database.piece_failed(session, error)?;
                    }
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

/// Whether an operation is to be done as of now.
async fn is_listed(session: &Session, maker: Maker, wanted: &Operation) -> Result<bool, Error> {
    let listed = maintenance::operations(&**session, maker).await?;
    Ok(listed.contains(wanted))
}
