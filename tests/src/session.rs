//! One session that stays open, for a caller that blocks: to hold a lock or a transaction, or to look often without the
//! cost of a connection.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::cluster::Cluster;

/// A session and the runtime that drives it. When the value is dropped, the session's locks have been released, and the
/// session ends.
#[derive(Debug)]
pub struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    /// Connects as user postgres.
    ///
    /// # Panics
    ///
    /// If the connection fails.
    #[must_use]
    pub fn new(cluster: &Cluster, dbname: &str) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("make a runtime");
        let client = runtime.block_on(cluster.connect(dbname));
        Self { runtime, client }
    }

    /// A session with an open transaction that has run this SQL, and holds its locks.
    #[must_use]
    #[track_caller]
    pub fn holding(cluster: &Cluster, dbname: &str, sql: &str) -> Self {
        let session = Self::new(cluster, dbname);
        session.ask(&format!("begin; {sql}"));
        session
    }

    /// Runs SQL and gives the first column of the first row as text; empty if
    /// there is none.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> String {
        self.runtime.block_on(ask(&self.client, sql))
    }
}

impl Drop for Session {
    /// The server would notice the end of the connection some time later, and those who do not wait long for a lock
    /// would meet this one still. A session that was ended, or whose server was, has none.
    fn drop(&mut self) {
        let release = async {
            for sql in ["rollback", "select pg_catalog.pg_advisory_unlock_all()"] {
                let _ = self.client.batch_execute(sql).await;
            }
        };
        // A server that hangs answers later, or never.
        let limit = Duration::from_secs(5);
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(limit, release).await });
    }
}

/// Runs SQL and gives the first column of the first row as text; empty if there
/// is none.
///
/// # Panics
///
/// If the SQL fails.
pub async fn ask(client: &Client, sql: &str) -> String {
    client
        .simple_query(sql)
        .await
        .unwrap_or_else(|error| panic!("{error:?} in: {sql}"))
        .iter()
        .find_map(|message| {
            if let SimpleQueryMessage::Row(row) = message {
                row.get(0).map(str::to_owned)
            } else {
                None
            }
        })
        .unwrap_or_default()
}
