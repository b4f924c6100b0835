//! Ticks: their identities as types, and the calls that make them. Touches pgq.tick through pgq.ticker() only.

use std::{fmt, time::SystemTime};

use serde::Deserialize;
use tokio_postgres::{GenericClient, Statement};

use crate::error::{Error, column};
use crate::queue::maker::Maker;

/// Number of a tick in its queue. Grows along the chain, with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TickId(pub i64);

/// Random identity of a tick: the same number with another tag belongs to another history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TickTag(pub i64);

/// A tick by number and identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tick {
    /// The tick's number.
    pub id: TickId,
    /// The tick's identity.
    pub tag: TickTag,
}

/// Random identity of a queue, new each time that the queue is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

/// A snapshot as the server writes a `txid_snapshot`: `xmin:xmax:xip,...`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotText(pub String);

/// A snapshot taken apart, to be asked without a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: i64,
    xmax: i64,
    /// The transactions between both that were open, in order.
    xip: Vec<i64>,
}

impl Snapshot {
    /// Whether the snapshot shows what a transaction has written, as `txid_visible_in_snapshot` says it. Pure.
    pub fn shows(&self, txid: i64) -> bool {
        txid < self.xmin || txid < self.xmax && self.xip.binary_search(&txid).is_err()
    }
}

impl SnapshotText {
    /// The snapshot taken apart; None: the text is not one that a server writes.
    pub fn parse(&self) -> Option<Snapshot> {
        let mut parts = self.0.splitn(3, ':');
        let number = |text: Option<&str>| text?.parse::<i64>().ok().filter(|txid| *txid > 0);
        let (xmin, xmax) = (number(parts.next())?, number(parts.next())?);
        let listed = parts.next()?;
        let xip: Vec<i64> = match listed {
            "" => Vec::new(),
            listed => listed
                .split(',')
                .map(|one| number(Some(one)))
                .collect::<Option<_>>()?,
        };
        let in_order = xip.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = xip.iter().all(|txid| (xmin..xmax).contains(txid));
        (xmin <= xmax && in_order && inside).then_some(Snapshot { xmin, xmax, xip })
    }
}

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
    /// Prepares the statements. PgQ does not tell which queues are due: there, each queue is asked by the call that
    /// would tick it.
    /// Errors: [`Error::Database`], also where schema pgq is not installed.
    pub async fn prepare(client: &impl GenericClient, maker: Maker) -> Result<Self, Error> {
        let doing = || Error::database("prepare the ticker's statements");
        let due = match maker {
            Maker::Trunkline => "select pgq.queues_to_tick()",
            Maker::PgQ => {
                "select queue_name from pgq.get_queue_info() \
                  where not queue_external_ticker and not queue_ticker_paused order by 1"
            }
        };
        Ok(Self {
            due: client.prepare(due).await.map_err(doing())?,
            tick: client
                .prepare("select pgq.ticker($1)")
                .await
                .map_err(doing())?,
        })
    }

    /// Names of the queues that are due for a tick now; of PgQ, all queues that may be due. Reads only.
    /// Source: `pgq.queues_to_tick()`; of PgQ `pgq.get_queue_info()`.
    pub async fn due(&self, client: &impl GenericClient) -> Result<Vec<String>, Error> {
        client
            .query(&self.due, &[])
            .await
            .map_err(Error::database("look for queues to tick"))?
            .iter()
            .map(|row| column(row, 0))
            .collect()
    }

    /// Makes a tick if the queue is due for a tick; None: the queue is not due, or not any more. Outside a transaction
    /// the tick is committed when this function returns. Source: `pgq.ticker(queue)`.
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

/// Makes the queue look full, so that the ticker makes a tick when it looks next. Gives the last tick before that.
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
    /// The oldest tick after which no event is gone.
    First,
    /// The newest tick.
    Last,
    /// The tick with this number.
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

/// The last tick before which nothing was made after a time, by the provider's clock, and after which no event is gone;
/// None: the queue does not hold all events from that time on. A clock that was set back makes ticks of one time twice:
/// then it is the tick before the first of them. Source: pgq.tick and pgq.queue.
pub async fn before(
    client: &impl GenericClient,
    queue: &str,
    time: SystemTime,
) -> Result<Option<(Epoch, Tick)>, Error> {
    let failed = || Error::database(format!("look for a tick of queue {queue} before a time"));
    let row = client
        .query_opt(
            "with q as (select * from pgq.queue where queue_name = $1), \
                  later as (select pg_catalog.min(o.tick_id) as first \
                              from q join pgq.tick o on o.tick_queue = q.queue_id where o.tick_time > $2) \
             select q.queue_epoch, t.tick_id, t.tick_tag \
               from q join pgq.tick t on t.tick_queue = q.queue_id \
              where t.tick_id < coalesce((select first from later), 9223372036854775807) \
                and pg_catalog.txid_snapshot_xmin(t.tick_snapshot) > q.queue_truncated_txid \
              order by t.tick_id desc limit 1",
            &[&queue, &time],
        )
        .await
        .map_err(failed())?;
    row.map(|row| {
        let tick = Tick {
            id: TickId(column(&row, 1)?),
            tag: TickTag(column(&row, 2)?),
        };
        Ok((Epoch(column(&row, 0)?), tick))
    })
    .transpose()
}

/// The time of the oldest tick after which no event is gone; None: there is none. Source: pgq.tick and pgq.queue.
pub async fn held_since(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Option<SystemTime>, Error> {
    let row = client
        .query_one(
            "select pg_catalog.min(t.tick_time) from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id \
              where q.queue_name = $1 and pg_catalog.txid_snapshot_xmin(t.tick_snapshot) > q.queue_truncated_txid",
            &[&queue],
        )
        .await
        .map_err(Error::database(format!("ask since when queue {queue} holds events")))?;
    column(&row, 0)
}

/// The count of events numbered between two ticks of a queue, negative backwards; None: a tick is not there any more.
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

/// What a queue says of its newest tick and of an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// The queue's identity.
    pub epoch: Epoch,
    /// The queue's newest tick.
    pub newest: Tick,
    /// The identity of the tick that was asked about; None if that tick is not kept any more, or not there yet.
    pub tag: Option<TickTag>,
}

/// The newest tick of each queue of a database, with the queue's identity. Source: pgq.queue and pgq.tick.
pub async fn newest(client: &impl GenericClient) -> Result<Vec<(String, (Epoch, Tick))>, Error> {
    let rows = client
        .query(
            "select q.queue_name, q.queue_epoch, t.tick_id, t.tick_tag \
               from pgq.queue q cross join lateral ( \
                    select o.tick_id, o.tick_tag from pgq.tick o where o.tick_queue = q.queue_id \
                       and (q.queue_ends_at is null or o.tick_id <= q.queue_ends_at) \
                     order by o.tick_queue desc, o.tick_id desc limit 1) t",
            &[],
        )
        .await
        .map_err(Error::database("look for the newest ticks"))?;
    rows.iter()
        .map(|row| Ok((column(row, 0)?, (Epoch(column(row, 1)?), tick_at(row, 2)?))))
        .collect()
}

/// A queue's newest tick, and the identity of tick `of`; None: the queue does not exist or has no tick.
/// Source: pgq.queue and pgq.tick.
pub async fn last(
    client: &impl GenericClient,
    queue: &str,
    of: TickId,
) -> Result<Option<Last>, Error> {
    let row = client
        .query_opt(
            "select q.queue_epoch, t.tick_id, t.tick_tag, \
                    (select o.tick_tag from pgq.tick o where o.tick_queue = q.queue_id and o.tick_id = $2) \
               from pgq.queue q cross join lateral ( \
                    select o.tick_id, o.tick_tag from pgq.tick o where o.tick_queue = q.queue_id \
                     order by o.tick_queue desc, o.tick_id desc limit 1) t \
              where q.queue_name = $1",
            &[&queue, &of.0],
        )
        .await
        .map_err(Error::database(format!("look for ticks of queue {queue}")))?;
    row.map(|row| {
        Ok(Last {
            epoch: Epoch(column(&row, 0)?),
            newest: tick_at(&row, 1)?,
            tag: column::<Option<i64>>(&row, 3)?.map(TickTag),
        })
    })
    .transpose()
}

/// The tick whose number and tag stand in two columns of a row.
fn tick_at(row: &tokio_postgres::Row, index: usize) -> Result<Tick, Error> {
    Ok(Tick {
        id: TickId(column(row, index)?),
        tag: TickTag(column(row, index + 1)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Option<Snapshot> {
        SnapshotText(text.into()).parse()
    }

    #[test]
    fn a_snapshot_shows_what_ended_before_it() {
        let snapshot = snapshot("10:20:10,15").unwrap();
        let shown: Vec<i64> = (8..22).filter(|txid| snapshot.shows(*txid)).collect();
        assert_eq!(shown, [8, 9, 11, 12, 13, 14, 16, 17, 18, 19]);
    }

    #[test]
    fn a_text_that_no_server_writes_is_no_snapshot() {
        assert!(snapshot("10:10:").is_some());
        for bad in [
            "",
            "10",
            "10:20",
            "20:10:",
            "10:20:9",
            "10:20:20",
            "10:20:15,11",
            "0:1:",
            "a:b:",
            "1:2:3:4",
        ] {
            assert_eq!(snapshot(bad), None, "{bad}");
        }
    }
}
