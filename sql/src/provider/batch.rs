//! Batches of the provider's queue that follow a tick, and the ticks that show a snapshot.

use std::{ops::RangeInclusive, time::SystemTime};

use tokio_postgres::{GenericClient, Row, Statement};

use crate::name::quote_literal;
use crate::{
    error::Error,
    queue::{
        lineage::{Lineage, NodePath},
        tick::{Epoch, SnapshotText, Tick, TickId, TickTag},
    },
    subscriber::position::{Applied, Position},
};

/// What follows a tick in a queue, at the time of one question.
#[derive(Clone, Debug)]
pub struct Next {
    /// The queue's identity.
    pub epoch: Epoch,
    /// The identity of the tick that was asked about; none if that tick is not kept any more.
    pub tag_at_position: Option<TickTag>,
    /// The newest tick.
    pub last_tick: TickId,
    /// The batch to apply next; none if there is no newer tick.
    pub batch: Option<Batch>,
}

/// A batch: the events that one tick shows and an earlier tick does not.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The tick that the batch ends with.
    pub to: Tick,
    /// When the last tick was made, by the provider's clock.
    pub to_time: SystemTime,
    /// The query that gives the batch's events in order: columns ev_id, ev_time, ev_txid,
    /// ev_retry, ev_type, ev_data, ev_extra1 to ev_extra4.
    pub events_sql: String,
    /// Where the events come from, and what the last tick contains of other nodes' queues.
    pub lineage: Lineage,
}

impl Batch {
    /// The statement that streams the batch's events in order, in COPY's binary form: columns `ev_id`, `ev_type`,
    /// `ev_data`, `ev_extra1` to `ev_extra3`, and a column with what the provider knows now about the event
    /// (`trunkline.event_now`). The provider looks for that only for shapes and marks, which only DDL writes.
    #[must_use]
    pub fn copy_events(&self) -> String {
        // The server plans this text anew for each batch: keep it short.
        format!(
            "copy (select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, \
                          case when ev_type in ('trunkline.1.shape', 'trunkline.1.mark') \
                               then trunkline.event_now(ev_type, ev_txid, ev_extra2, ev_extra3) end \
                     from ({}) e order by ev_id) to stdout (format binary)",
            self.events_sql
        )
    }

    /// The statement that streams the batch's events with all their columns, as an archive keeps them, in COPY's binary
    /// form: `ev_id`, `ev_txid`, `ev_time`, `ev_type`, `ev_data`, `ev_extra1` to `ev_extra4`, and the column of
    /// `trunkline.event_now` as in [`Batch::copy_events`].
    #[must_use]
    pub fn copy_whole_events(&self) -> String {
        format!(
            "copy (select ev_id, ev_txid, ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4, \
                          case when ev_type in ('trunkline.1.shape', 'trunkline.1.mark') \
                               then trunkline.event_now(ev_type, ev_txid, ev_extra2, ev_extra3) end \
                     from ({}) e order by ev_id) to stdout (format binary)",
            self.events_sql
        )
    }
}

/// A tick between two others, with all that is kept of it.
#[derive(Clone, Debug)]
pub struct TickBetween {
    /// Number and identity.
    pub tick: Tick,
    /// When the tick was made, by the provider's clock.
    pub time: SystemTime,
    /// The transactions that the tick shows.
    pub snapshot: SnapshotText,
}

/// The ticks after one tick, up to another one, in order. Source: `trunkline.ticks_between`.
pub async fn ticks_between(
    client: &impl GenericClient,
    queue: &str,
    from: TickId,
    to: TickId,
) -> Result<Vec<TickBetween>, Error> {
    let failed = || Error::database("read the ticks of a batch on the provider");
    let rows = client
        .query(
            "select tick_id, tick_tag, tick_time, tick_snapshot::text \
               from trunkline.ticks_between($1, $2, $3)",
            &[&queue, &from.0, &to.0],
        )
        .await
        .map_err(failed())?;
    let tick = |row: &Row| {
        Ok(TickBetween {
            tick: Tick {
                id: TickId(row.try_get(0)?),
                tag: TickTag(row.try_get(1)?),
            },
            time: row.try_get(2)?,
            snapshot: SnapshotText(row.try_get(3)?),
        })
    };
    rows.iter()
        .map(tick)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(failed())
}

/// The events of a queue that are wanted next.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// How many events may be merged into one batch if there are many ticks to catch up with. The events of one tick
    /// are never split, however many they are.
    pub max_events: i64,
    /// The condition on the events.
    pub only: Only,
    /// The last tick that the batch may reach.
    pub up_to: Option<TickId>,
}

/// A condition on the events of a batch: wanted are those for which every field that is set holds. By default all
/// events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Events of the table with this oid on the provider, whatever name the table had, and scripts, which may change
    /// it.
    pub table: Option<u32>,
    /// Events of transactions that the snapshot of a copy does not show.
    pub not_shown_by: Option<SnapshotText>,
    /// Events with these numbers (`ev_id`).
    pub events: Option<RangeInclusive<i64>>,
}

impl Only {
    /// The condition in SQL, on the columns of event tables; none if all events are wanted.
    fn condition(&self) -> Option<String> {
        let of_table = self.table.map(|oid| {
            format!(
                "(ev_extra2 in (select shape_id::text from trunkline.shape where table_oid = {oid}) \
                  or ev_type = 'trunkline.1.script')"
            )
        });
        let not_shown = self.not_shown_by.as_ref().map(|snapshot| {
            format!(
                "not txid_visible_in_snapshot(ev_txid, {}::txid_snapshot)",
                quote_literal(&snapshot.0)
            )
        });
        let numbered = self
            .events
            .as_ref()
            .map(|ids| format!("ev_id between {} and {}", ids.start(), ids.end()));
        let all: Vec<String> = [of_table, not_shown, numbered]
            .into_iter()
            .flatten()
            .collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

/// Asks for the batches of a queue; prepared once a session.
pub struct BatchFinder {
    statement: Statement,
}

impl BatchFinder {
    /// The tick with this number, with its identity now; none if the queue does not have the tick.
    pub async fn tick(
        &self,
        client: &impl GenericClient,
        queue: &str,
        id: TickId,
    ) -> Result<Option<Tick>, Error> {
        let nothing = Want {
            up_to: Some(id),
            ..Want::default()
        };
        let next = self
            .ask(client, queue, id, &nothing)
            .await
            .map_err(Error::database("look for a tick on the provider"))?;
        Ok(next.tag_at_position.map(|tag| Tick { id, tag }))
    }

    /// Prepares the statement on a session to the provider.
    pub async fn prepare(client: &impl GenericClient) -> Result<Self, Error> {
        let statement = client
            .prepare(
                "select epoch, from_tag, last_tick, to_tick, to_tag, to_time, events_sql, \
                        to_origins::text, path \
                 from trunkline.next_batch($1, $2, $3, $4, $5)",
            )
            .await
            .map_err(Error::database(
                "prepare to look for batches on the provider",
            ))?;
        Ok(BatchFinder { statement })
    }

    /// What follows tick `from`. An unknown queue is the database's error.
    pub async fn after(
        &self,
        client: &impl GenericClient,
        queue: &str,
        from: TickId,
        want: &Want,
    ) -> Result<Next, Error> {
        self.ask(client, queue, from, want)
            .await
            .map_err(Error::database("look for a batch on the provider"))
    }

    async fn ask(
        &self,
        client: &impl GenericClient,
        queue: &str,
        from: TickId,
        want: &Want,
    ) -> Result<Next, tokio_postgres::Error> {
        let row = client
            .query_one(
                &self.statement,
                &[
                    &queue,
                    &from.0,
                    &want.max_events,
                    &want.only.condition(),
                    &want.up_to.map(|tick| tick.0),
                ],
            )
            .await?;
        next(&row)
    }
}

fn next(row: &Row) -> Result<Next, tokio_postgres::Error> {
    let batch = match row.try_get::<_, Option<i64>>(3)? {
        None => None,
        Some(to) => Some(Batch {
            to: Tick {
                id: TickId(to),
                tag: TickTag(row.try_get(4)?),
            },
            to_time: row.try_get(5)?,
            events_sql: row.try_get(6)?,
            lineage: Lineage {
                origins: row.try_get(7)?,
                path: NodePath::of(row, 8)?,
            },
        }),
    };
    Ok(Next {
        epoch: Epoch(row.try_get(0)?),
        tag_at_position: row.try_get::<_, Option<i64>>(1)?.map(TickTag),
        last_tick: TickId(row.try_get(2)?),
        batch,
    })
}

/// Where a consumer is registered, as a position; none if the consumer is not registered.
pub async fn consumer_position(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<Option<Position>, Error> {
    let row = client
        .query_opt(
            "select epoch, tick_id, tick_tag from trunkline.consumer_position($1, $2)",
            &[&queue, &consumer],
        )
        .await
        .map_err(Error::database("ask the provider for the consumer"))?;
    row.as_ref()
        .map(Position::of)
        .transpose()
        .map_err(Error::database("ask the provider for the consumer"))
}

/// Tells the provider how far a subscriber is, so that the queue need not hold the events before. `with_tables`: also
/// which tables the subscriber has whole. Gives whether somebody on the provider waits for subscribers.
/// Source: `trunkline.tell_applied`.
pub async fn tell_applied(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    applied: &Applied,
    with_tables: bool,
) -> Result<bool, Error> {
    let tick = applied.position.tick;
    let whole = with_tables.then_some(&applied.whole);
    client
        .query_one(
            "select trunkline.tell_applied($1, $2, $3, $4, $5)",
            &[&queue, &consumer, &tick.id.0, &tick.tag.0, &whole],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!(
            "advance consumer {consumer} of queue {queue} to tick {}",
            tick.id
        )))
}

/// The lowest tick that shows everything that a snapshot shows; none if there is no such tick yet.
pub async fn tick_containing(
    client: &impl GenericClient,
    queue: &str,
    snapshot: &SnapshotText,
) -> Result<Option<TickId>, Error> {
    let tick: Option<i64> = client
        .query_one(
            "select trunkline.tick_containing($1, $2::text::txid_snapshot)",
            &[&queue, &snapshot.0],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for a tick on the provider"))?;
    Ok(tick.map(TickId))
}

/// The snapshot of the running transaction or statement.
pub async fn current_snapshot(client: &impl GenericClient) -> Result<SnapshotText, Error> {
    let text = client
        .query_one("select txid_current_snapshot()::text", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("read the provider's snapshot"))?;
    Ok(SnapshotText(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_becomes_one_condition_and_all_events_need_none() {
        assert_eq!(Only::default().condition(), None);
        let only = Only {
            table: Some(42),
            not_shown_by: Some(SnapshotText("1:5:2,'3".into())),
            events: Some(7..=9),
        };
        assert_eq!(
            only.condition().as_deref(),
            Some(
                "(ev_extra2 in (select shape_id::text from trunkline.shape where table_oid = 42) \
                 or ev_type = 'trunkline.1.script') \
                 and not txid_visible_in_snapshot(ev_txid, '1:5:2,''3'::txid_snapshot) \
                 and ev_id between 7 and 9"
            )
        );
    }
}
