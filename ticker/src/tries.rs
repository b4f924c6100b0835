//! Retry loop of a database's connection: the log line of a failure, and the wait before the next try.

use admin::daemon::Rests;

use crate::database::Database;
use crate::trouble::{Trouble, log_database};

/// The tries of one loop of a database.
pub(crate) struct Tries<'a> {
    database: &'a Database,
    message: &'static str,
    rests: Rests,
    /// Set by a try that got as far as its work. The failures before are forgotten only when work is done; a connection
    /// alone proves nothing.
    pub(crate) worked: bool,
}

impl<'a> Tries<'a> {
    /// Tries without failures so far. `message` is the log line of a failure.
    pub(crate) fn new(database: &'a Database, message: &'static str) -> Self {
        Self {
            database,
            message,
            rests: database.pace.borrow().rests(),
            worked: false,
        }
    }

    /// Logs a failed try and waits until the next one is due; true: asked to stop, so there is no next try.
    pub(crate) async fn is_over(&mut self, trouble: Trouble) -> bool {
        let database = self.database;
        if database.stop.is_cancelled() {
            // The stop itself canceled the statement or closed the connection.
            return true;
        }
        database.stats.failed();
        log_database(
            database.name(),
            trouble.class(),
            &trouble.text(),
            self.message,
        );
        if std::mem::take(&mut self.worked) {
            self.rests = database.pace.borrow().rests();
        }
        database.sleep(self.rests.next_rest()).await
    }
}
