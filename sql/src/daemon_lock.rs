//! The advisory lock of a session that makes one daemon the only one of its kind: the ticker of a database, the replay
//! of a subscriber, who tells a node's events. The lock ends with the session.

use std::time::{Duration, Instant};

use tokio_postgres::GenericClient;

use crate::error::{Error, column};

/// Key of the session's advisory lock that keeps a second ticker out of a database. The letters "trunktik".
pub(crate) const TICKER_LOCK: i64 = 0x7472_756e_6b74_696b;

/// What a daemon may be the only one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonLock<'a> {
    /// The ticker of the session's database.
    Ticker,
    /// The replay of a subscriber, which is told by its consumer's name.
    Replay {
        /// The name of the consumer.
        consumer: &'a str,
    },
    /// Who makes a base of an archive, which is told by its consumer's name.
    Base {
        /// The name of the consumer.
        consumer: &'a str,
    },
    /// Who tells the programs beside a node what happens in the set of a queue's name.
    Events {
        /// The queue.
        queue: &'a str,
    },
}

impl DaemonLock<'_> {
    /// Takes the lock for the session; false: another session has it.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn try_take(&self, client: &impl GenericClient) -> Result<bool, Error> {
        match self {
            DaemonLock::Ticker => {
                let doing = "take the ticker's lock";
                let statement = "select pg_catalog.pg_try_advisory_lock($1)";
                let row = client.query_one(statement, &[&TICKER_LOCK]).await;
                column(&row.map_err(Error::database(doing))?, 0)
            }
            DaemonLock::Replay { consumer } => {
                let doing = "take the subscriber's lock";
                try_named(client, "trunkline replay", consumer, doing).await
            }
            DaemonLock::Base { consumer } => {
                let doing = "take the lock of an archive's bases";
                try_named(client, "trunkline base", consumer, doing).await
            }
            DaemonLock::Events { queue } => {
                let doing = "take the lock of who tells events";
                try_named(client, "trunkline events", queue, doing).await
            }
        }
    }
}

/// How long a lock is asked for of which the owner may just have ended: its server process ends a moment later.
const MOMENT: Duration = Duration::from_secs(2);

impl DaemonLock<'_> {
    /// Takes the lock for the session, as a command does that may follow another one; false: another session has it,
    /// and keeps it.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn take(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            if self.try_take(client).await? {
                return Ok(true);
            } else if began.elapsed() > MOMENT {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Takes a lock of a kind that has several, each by its name.
async fn try_named(
    client: &impl GenericClient,
    kind: &str,
    name: &str,
    doing: &'static str,
) -> Result<bool, Error> {
    let statement = "select pg_catalog.pg_try_advisory_lock( \
         pg_catalog.hashtext($1), pg_catalog.hashtext($2))";
    let row = client.query_one(statement, &[&kind, &name]).await;
    column(&row.map_err(Error::database(doing))?, 0)
}
