//! Ticks: their identities as types, and the calls that make them. Touches pgq.tick through pgq.ticker() only.

use std::fmt;

use tokio_postgres::{GenericClient, Statement};

use crate::error::Error;
use crate::install::column;

/// Number of a tick in its queue. Grows along the chain, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TickId(pub i64);

/// Random identity of a tick: the same number with another tag is another history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TickTag(pub i64);

/// A tick by number and identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tick {
    /// Its number.
    pub id: TickId,
    /// Its identity.
    pub tag: TickTag,
}

/// Random identity of a queue, new at each making of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub i64);

/// A snapshot as the server writes a `txid_snapshot`: `xmin:xmax:xip,...`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotText(pub String);

impl fmt::Display for TickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TickTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SnapshotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The two statements of a ticker's loop, prepared once a session.
#[derive(Clone)]
pub struct TickStatements {
    due: Statement,
    tick: Statement,
}

impl TickStatements {
    /// Prepares them. Errors: [`Error::Database`], also where schema pgq is not installed.
    pub async fn prepare(client: &impl GenericClient) -> Result<Self, Error> {
        let doing = || Error::database("prepare the ticker's statements");
        Ok(Self {
            due: client
                .prepare("select pgq.queues_to_tick()")
                .await
                .map_err(doing())?,
            tick: client
                .prepare("select pgq.ticker($1)")
                .await
                .map_err(doing())?,
        })
    }

    /// Names of the queues that are due for a tick now. Reads only. Source: `pgq.queues_to_tick()`.
    pub async fn due(&self, client: &impl GenericClient) -> Result<Vec<String>, Error> {
        client
            .query(&self.due, &[])
            .await
            .map_err(Error::database("look for queues to tick"))?
            .iter()
            .map(|row| column(row, 0))
            .collect()
    }

    /// Makes a tick if the queue is due for one; None: it is not, or not any more. Outside a transaction the tick is
    /// committed when this returns. Source: `pgq.ticker(queue)`.
    pub async fn tick(
        &self,
        client: &impl GenericClient,
        queue: &str,
    ) -> Result<Option<TickId>, Error> {
        let row = client
            .query_one(&self.tick, &[&queue])
            .await
            .map_err(Error::database(format!("tick queue {queue}")))?;
        Ok(column::<Option<i64>>(&row, 0)?.map(TickId))
    }
}

/// Makes the queue look full, so that the ticker makes a tick at its next look. Result: the last tick before that.
/// Source: `pgq.force_tick(queue)`.
pub async fn force(client: &impl GenericClient, queue: &str) -> Result<Option<TickId>, Error> {
    let row = client
        .query_one("select pgq.force_tick($1)", &[&queue])
        .await
        .map_err(Error::database(format!("force a tick of queue {queue}")))?;
    Ok(column::<Option<i64>>(&row, 0)?.map(TickId))
}

/// Which tick of a queue is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickAt {
    /// The oldest one after which no event is gone.
    First,
    /// The newest one.
    Last,
    /// The one with this number.
    Id(TickId),
}

/// The number of the tick that is meant; None: the queue, or such a tick, is not there. Needs pgq_reader.
/// Source: pgq.tick and pgq.queue.
pub async fn find(
    client: &impl GenericClient,
    queue: &str,
    at: TickAt,
) -> Result<Option<TickId>, Error> {
    let (id, order) = match at {
        TickAt::First => (None, "asc"),
        TickAt::Last => (None, "desc"),
        TickAt::Id(id) => (Some(id.0), "asc"),
    };
    let row = client
        .query_opt(
            &format!(
                "select t.tick_id from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue \
                  where q.queue_name = $1 and t.tick_id = coalesce($2::bigint, t.tick_id) \
                    and ($2 is not null \
                         or pg_catalog.txid_snapshot_xmin(t.tick_snapshot) > q.queue_truncated_txid) \
                  order by t.tick_id {order} limit 1"
            ),
            &[&queue, &id],
        )
        .await
        .map_err(Error::database(format!("look for a tick of queue {queue}")))?;
    row.map(|row| column(&row, 0).map(TickId)).transpose()
}

/// Events numbered between two ticks of a queue, negative backwards; None: a tick is not there any more.
/// Needs pgq_reader. Source: pgq.tick.
pub async fn events_between(
    client: &impl GenericClient,
    queue: &str,
    from: TickId,
    to: TickId,
) -> Result<Option<i64>, Error> {
    let row = client
        .query_one(
            "select (select t.tick_event_seq from pgq.tick t \
                      where t.tick_queue = q.queue_id and t.tick_id = $3) \
                  - (select t.tick_event_seq from pgq.tick t \
                      where t.tick_queue = q.queue_id and t.tick_id = $2) \
               from pgq.queue q where q.queue_name = $1",
            &[&queue, &from.0, &to.0],
        )
        .await
        .map_err(Error::database(format!(
            "count events between ticks of queue {queue}"
        )))?;
    column(&row, 0)
}
