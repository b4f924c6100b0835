//! One try after the other of a loop whose connection breaks: the log line and the wait in between.

use backon::ExponentialBackoff;

use crate::database::Database;
use crate::trouble::{Trouble, log_database};

/// The tries of one loop of a database.
pub(crate) struct Tries<'a> {
    database: &'a Database,
    message: &'static str,
    waits: ExponentialBackoff,
    /// Set by a try that got as far as its work. A connection alone proves nothing; only work done makes us forget the
    /// failures before.
    pub(crate) worked: bool,
}

impl<'a> Tries<'a> {
    /// No failures yet. `message` is the log line of one.
    pub(crate) fn new(database: &'a Database, message: &'static str) -> Self {
        Self {
            database,
            message,
            waits: database.pace.borrow().retries(),
            worked: false,
        }
    }

    /// Tells of a failed try and waits for the time of the next one; true: asked to stop, there is none.
    pub(crate) async fn is_over(&mut self, trouble: Trouble) -> bool {
        let database = self.database;
        if database.stop.is_cancelled() {
            // A statement that was canceled, or a connection that went down with us.
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
            self.waits = database.pace.borrow().retries();
        }
        let longest = database.pace.borrow().retry_delay;
        database.sleep(self.waits.next().unwrap_or(longest)).await
    }
}
