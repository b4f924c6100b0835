//! Logs the holders of the queues: each once when it begins to hold, and once when it ends.

use std::collections::HashMap;

use admin::log::Once;
use sql::connect::Session;
use sql::queue::holder::{self, Holder, HolderKind};

use crate::database::Database;

/// The facts that tell one holder from another.
type Key = (String, HolderKind, Option<String>, Option<i32>, bool);

/// The holders that the log knows of.
#[derive(Default)]
pub(crate) struct Holders {
    logged: Once<Key>,
}

impl Holders {
    /// Asks for the holders, and logs what has changed.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub(crate) async fn tell(
        &mut self,
        database: &Database,
        session: &Session,
    ) -> Result<(), sql::Error> {
        let now: HashMap<Key, Holder> = holder::list(&**session)
            .await?
            .into_iter()
            .map(|one| (key(&one), one))
            .collect();
        for (key, one) in &now {
            // A holder's age and size grow all the time, and are no news.
            if self.logged.say(key.clone(), "held") {
                begins(database.name(), one);
            }
        }
        for (queue, kind, name, ..) in self.logged.only(|key| now.contains_key(key)) {
            if kind != HolderKind::Detached {
                let by = kind.as_str();
                tracing::info!(
                    database = database.name(),
                    queue,
                    by,
                    name,
                    "queue is held no longer"
                );
            }
        }
        Ok(())
    }
}

fn key(one: &Holder) -> Key {
    (
        one.queue.clone(),
        one.kind,
        one.name.clone(),
        one.pid,
        one.over_limit,
    )
}

fn begins(database: &str, one: &Holder) {
    match one.kind {
        HolderKind::Detached => tracing::error!(
            database,
            queue = one.queue,
            consumer = one.name,
            why = one.detail,
            "consumer detached"
        ),
        HolderKind::Consumer
        | HolderKind::Transaction
        | HolderKind::Prepared
        | HolderKind::Lock
        | HolderKind::Ticker => tracing::warn!(
            database,
            queue = one.queue,
            by = one.kind.as_str(),
            name = one.name,
            bytes = one.held_bytes,
            seconds = one.held_seconds.map(f64::round),
            over_limit = one.over_limit,
            pid = one.pid,
            xid = one.xid,
            detail = one.detail,
            "queue is held"
        ),
    }
}
