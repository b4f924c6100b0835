//! Checks captured tables. Where no event trigger tells of schema changes, capture is brought in step with the tables.
//! A problem of a table's capture is logged once, and once when it is over.

use std::time::{Duration, Instant};

use admin::log::Once;
use sql::Error;
use sql::connect::Session;
use sql::provider::{self, CaptureProblem};
use sql::queue::maintenance;

use crate::database::Database;
use crate::pace::is_due;

/// Time between two looks at captured tables. Where no event trigger tells of a schema change, the change may make the
/// table's writers slow for this long.
const DELAY: Duration = Duration::from_secs(3);

/// Time between two looks at everything that captured tables depend on, and between two questions whether a capture
/// that may not be called may be called now.
const CLOSE_DELAY: Duration = Duration::from_secs(60);

/// The tables with a problem that the log knows of, by queue and name.
pub(crate) type Problems = Once<(String, String)>;

/// What one session knows of capture.
#[derive(Default)]
pub(crate) struct Shapes {
    /// Capture is installed, and proven to belong to roles that may act as our role.
    there: bool,
    asked: Option<Instant>,
    looked: Option<Instant>,
    looked_closely: Option<Instant>,
}

impl Shapes {
    /// Checks the tables if it is time, and logs what was done. Capture may be installed later than the queue: until
    /// then none of its functions is called.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn look(
        &mut self,
        database: &Database,
        session: &Session,
        told: &mut Problems,
    ) -> Result<(), Error> {
        if !self.there && !is_due(self.asked, DELAY) {
            return Ok(());
        }
        if !self.there {
            self.asked = Some(Instant::now());
            match maintenance::has_capture(&**session).await {
                Ok(there) => self.there = there,
                Err(error) => {
                    self.asked = Some(Instant::now() + CLOSE_DELAY);
                    database.piece_failed(session, error)?;
                }
            }
        }
        if self.there && is_due(self.looked, DELAY) {
            let thorough = is_due(self.looked_closely, CLOSE_DELAY);
            round(database, session, thorough).await?;
            match provider::capture_problems(&**session).await {
                Ok(problems) => tell(database.name(), &problems, told),
                Err(error) => database.piece_failed(session, error)?,
            }
            self.looked = Some(Instant::now());
            if thorough {
                self.looked_closely = self.looked;
            }
        }
        Ok(())
    }
}

/// Checks the tables once; with `thorough` also everything that they depend on.
async fn round(database: &Database, session: &Session, thorough: bool) -> Result<(), Error> {
    match maintenance::look_after_capture(&**session, thorough).await {
        Ok(done) => {
            for what in done {
                tracing::info!(database = database.name(), %what, "capture looked after");
            }
            Ok(())
        }
        Err(error) => database.piece_failed(session, error),
    }
}

/// Logs the problems that are new, and the problems that are over.
fn tell(database: &str, problems: &[CaptureProblem], told: &mut Problems) {
    let key = |one: &CaptureProblem| (one.queue.clone(), one.table.to_string());
    for one in problems {
        let (table, problem) = (one.table.to_string(), one.problem.as_str());
        if told.say(key(one), problem) {
            tracing::error!(
                database,
                queue = one.queue,
                table,
                problem,
                "changes of a captured table may be missing"
            );
        }
    }
    for (queue, table) in told.only(|known| problems.iter().any(|one| key(one) == *known)) {
        tracing::info!(
            database,
            queue,
            table,
            "a captured table is captured whole again"
        );
    }
}
