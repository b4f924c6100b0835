//! What keeps the space of queues from being used again. Reads through schema pgq's functions only.

use tokio_postgres::GenericClient;

use crate::error::{Error, column};

/// The kind of a holder of a queue; the queue's SQL has the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HolderKind {
    /// A consumer that has not finished the events, or is above the queue's limit.
    Consumer,
    /// A transaction that began before the events.
    Transaction,
    /// A transaction that began before the events, prepared for two-phase commit.
    Prepared,
    /// A session with a lock on an event table that could be emptied.
    Lock,
    /// The ticker, which has made no tick since the events.
    Ticker,
    /// A consumer that held too much, was detached and holds nothing any more.
    Detached,
}

impl HolderKind {
    /// The kind's word.
    pub fn as_str(self) -> &'static str {
        match self {
            HolderKind::Consumer => "consumer",
            HolderKind::Transaction => "transaction",
            HolderKind::Prepared => "prepared",
            HolderKind::Lock => "lock",
            HolderKind::Ticker => "ticker",
            HolderKind::Detached => "detached",
        }
    }

    fn of(word: &str) -> Result<HolderKind, Error> {
        [
            HolderKind::Consumer,
            HolderKind::Transaction,
            HolderKind::Prepared,
            HolderKind::Lock,
            HolderKind::Ticker,
            HolderKind::Detached,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| Error::Unexpected(format!("a queue is held by a {word}")))
    }
}

/// A holder of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The queue.
    pub queue: String,
    /// The kind of the holder.
    pub kind: HolderKind,
    /// The consumer, the gid of a prepared transaction, else the session's `application_name`.
    pub name: Option<String>,
    /// Seconds since the holder waits or is open, by the server's clock; None: the installing role may not see that.
    pub held_seconds: Option<f64>,
    /// About how many bytes the holder holds; bytes that two holders hold count for both.
    pub held_bytes: Option<i64>,
    /// The holder is a consumer above `retention_age` or `retention_bytes`.
    pub over_limit: bool,
    /// Process id of the session.
    pub pid: Option<i32>,
    /// Number of the transaction.
    pub xid: Option<i64>,
    /// Database and state of a session; of a detached consumer, why it was detached.
    pub detail: Option<String>,
}

/// The holders of the database's queues, by queue, the oldest first; queues of PgQ have none, because PgQ does not
/// report them.
/// Needs pgq_reader. Source: `pgq.get_holder_info()`.
pub async fn list(client: &impl GenericClient) -> Result<Vec<Holder>, Error> {
    if !crate::queue::is_installed(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, holder_kind, holder_name, \
                    greatest(0, extract(epoch from clock_timestamp() - held_since))::float8, \
                    held_bytes, coalesce(over_limit, false), pid, xid, detail \
               from pgq.get_holder_info()",
            &[],
        )
        .await
        .map_err(Error::database("ask who holds the queues"))?;
    rows.iter()
        .map(|row| {
            Ok(Holder {
                queue: column(row, 0)?,
                kind: HolderKind::of(column(row, 1)?)?,
                name: column(row, 2)?,
                held_seconds: column(row, 3)?,
                held_bytes: column(row, 4)?,
                over_limit: column(row, 5)?,
                pid: column(row, 6)?,
                xid: column(row, 7)?,
                detail: column(row, 8)?,
            })
        })
        .collect()
}
