//! A look at captured tables: where no event trigger tells of schema changes, capture is brought in step with them.

use sql::Error;
use sql::connect::Session;
use sql::maintenance;

use crate::database_loop::Database;
use crate::upkeep::piece_failed;

/// Looks once and logs what was done; `thorough` looks at everything.
///
/// # Errors
/// The connection broke.
pub(crate) async fn round(
    database: &Database,
    session: &Session,
    thorough: bool,
) -> Result<(), Error> {
    match maintenance::look_after_capture(&**session, thorough).await {
        Ok(done) => {
            for what in done {
                tracing::info!(database = database.name(), %what, "capture looked after");
            }
            Ok(())
        }
        Err(error) => piece_failed(database, session, error),
    }
}
