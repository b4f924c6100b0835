//! Tells the log who holds the queues: once when it begins, once when it is over.

use std::collections::HashMap;

use sql::connect::Session;
use sql::holder::{self, Holder, HolderKind};

use crate::database_loop::Database;

/// What tells one holder from another.
type Key = (String, HolderKind, Option<String>, Option<i32>, bool);

/// The holders that the log knows of.
#[derive(Default)]
pub(crate) struct Holders {
    told: HashMap<Key, Holder>,
}

impl Holders {
    /// Looks again, and tells what has changed.
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
            if !self.told.contains_key(key) {
                begins(database.name(), one);
            }
        }
        for (key, one) in &self.told {
            if !now.contains_key(key) && one.kind != HolderKind::Detached {
                tracing::info!(
                    database = database.name(),
                    queue = one.queue,
                    by = one.kind.as_str(),
                    name = one.name,
                    "queue is held no longer"
                );
            }
        }
        self.told = now;
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
