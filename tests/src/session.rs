//! One session that stays open, for a caller that blocks: to hold a lock or a transaction, or to look often without the
//! cost of a connection.

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};

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

/// Drives the sessions of [`print`]: their callers may be inside of a runtime, where no other one may block.
static SESSIONS: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("make a runtime")
});

/// Runs SQL in a session of its own and gives what `psql -At` prints. The start of the program psql costs more than the
/// session, and tests look at their servers thousands of times.
///
/// # Panics
///
/// If the session cannot be opened, or the SQL fails.
#[track_caller]
pub(crate) fn print(config: Config, sql: &str) -> String {
    let (answer, answered) = mpsc::sync_channel(1);
    let text = sql.to_owned();
    SESSIONS.spawn(async move {
        let _ = answer.send(rows(&config, &text).await);
    });
    answered
        .recv()
        .expect("the session's task to answer")
        .unwrap_or_else(|error| panic!("{error:?} in: {sql}"))
}

async fn rows(config: &Config, sql: &str) -> Result<String, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let driven = tokio::spawn(connection);
    let messages = client.simple_query(sql).await;
    // The server has been told of the end when this returns, as after psql.
    drop(client);
    let _ = driven.await;
    let lines: Vec<String> = messages?
        .iter()
        .filter_map(|message| {
            if let SimpleQueryMessage::Row(row) = message {
                Some(row)
            } else {
                None
            }
        })
        .map(|row| {
            let columns: Vec<&str> = (0..row.len())
                .map(|column| row.get(column).unwrap_or_default())
                .collect();
            columns.join("|")
        })
        .collect();
    Ok(lines.join("\n").trim_end().to_owned())
}
