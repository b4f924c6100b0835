//! Where in a provider's queue a subscriber goes on that has applied another queue, and which tables of the provider
//! are those of that other queue.

use std::time::SystemTime;

use tokio_postgres::{GenericClient, Row};

use crate::{
    error::Error,
    event::shape::Shape,
    name::TableName,
    queue::tick::{Epoch, Tick, TickId, TickTag},
    subscriber::position::Position,
};

/// A tick by all names that it has: its own, then those in the logs further up, nearest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<Position>);

impl Places {
    /// A position, and its origins as `trunkline.position.origins` has them.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if the origins are not of that form.
    pub fn of(position: Position, origins: Option<&str>) -> Result<Places, Error> {
        let above: Vec<(i64, i64, i64)> = match origins {
            None => Vec::new(),
            Some(json) => serde_json::from_str(json)
                .map_err(|error| Error::Unexpected(format!("origins {json}: {error}")))?,
        };
        let above = above.into_iter().map(|(epoch, id, tag)| Position {
            epoch: Epoch(epoch),
            tick: Tick {
                id: TickId(id),
                tag: TickTag(tag),
            },
        });
        Ok(Places([position].into_iter().chain(above).collect()))
    }

    fn json(&self) -> String {
        let places: Vec<String> = self
            .0
            .iter()
            .map(|at| format!("[{},{},{}]", at.epoch, at.tick.id, at.tick.tag))
            .collect();
        format!("[{}]", places.join(","))
    }
}

/// A tick of the provider's queue at which a subscriber may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickFound {
    /// The tick, as a position.
    pub position: Position,
    /// When the tick was made, by the provider's clock.
    pub time: SystemTime,
    /// What the tick contains of other nodes' queues: `pgq.tick.tick_origins`.
    pub origins: Option<String>,
}

/// Where a subscriber goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceAnswer {
    /// At a tick that is just its place.
    At(TickFound),
    /// Between two ticks: all events between them are to be applied once more.
    Overlap {
        /// The last tick before the place.
        from: TickFound,
        /// The first tick after the place.
        until: TickFound,
    },
    /// The provider has not got there yet, and says why.
    Wait(String),
    /// The provider's queue went back in time, and says how.
    Ahead(String),
    /// There is no place, or no more, and the provider says why.
    Gone(String),
}

/// The provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceFound {
    /// The identity of the provider's queue.
    pub epoch: Epoch,
    /// The place that the answer is about, by its number in the list; none: no place of the list is known there.
    pub place: Option<usize>,
    /// The answer.
    pub answer: PlaceAnswer,
}

/// Where in a queue one goes on who has applied another one up to these places; none if there is no such queue.
/// Source: `trunkline.place_of`.
pub async fn place_of(
    client: &impl GenericClient,
    queue: &str,
    places: &Places,
) -> Result<Option<PlaceFound>, Error> {
    let failed = || Error::database("ask the provider for a place to go on");
    let row = client
        .query_opt(
            "select answer, place, why, epoch, tick_id, tick_tag, tick_time, origins::text, \
                    until_id, until_tag, until_time, until_origins::text \
             from trunkline.place_of($1, $2::text::jsonb)",
            &[&queue, &places.json()],
        )
        .await
        .map_err(failed())?;
    let Some(row) = row else {
        return Ok(None);
    };
    let epoch = Epoch(row.try_get(3).map_err(failed())?);
    let place: Option<i32> = row.try_get(1).map_err(failed())?;
    Ok(Some(PlaceFound {
        epoch,
        place: place.and_then(|number| usize::try_from(number).ok()),
        answer: answer(&row, epoch).map_err(failed())?,
    }))
}

fn answer(row: &Row, epoch: Epoch) -> Result<PlaceAnswer, tokio_postgres::Error> {
    let why = || Ok(row.try_get::<_, Option<String>>(2)?.unwrap_or_default());
    Ok(match row.try_get(0)? {
        "here" | "exact" => PlaceAnswer::At(at(row, 4, epoch)?),
        "overlap" => PlaceAnswer::Overlap {
            from: at(row, 4, epoch)?,
            until: at(row, 8, epoch)?,
        },
        "wait" => PlaceAnswer::Wait(why()?),
        "ahead" => PlaceAnswer::Ahead(why()?),
        _ => PlaceAnswer::Gone(why()?),
    })
}

fn at(row: &Row, first: usize, epoch: Epoch) -> Result<TickFound, tokio_postgres::Error> {
    Ok(TickFound {
        position: Position {
            epoch,
            tick: Tick {
                id: TickId(row.try_get(first)?),
                tag: TickTag(row.try_get(first + 1)?),
            },
        },
        time: row.try_get(first + 2)?,
        origins: row.try_get(first + 3)?,
    })
}

/// The identity of a queue; none if there is no such queue.
pub async fn queue_epoch(client: &impl GenericClient, queue: &str) -> Result<Option<Epoch>, Error> {
    client
        .query_opt(
            "select queue_epoch from pgq.queue where queue_name = $1",
            &[&queue],
        )
        .await
        .and_then(|row| row.map(|row| row.try_get(0).map(Epoch)).transpose())
        .map_err(Error::database("ask the provider for the queue"))
}

/// The last tick of another log, at a place or before it, that a tick of the queue contains whose events are held;
/// none: there is none.
pub async fn last_origin(
    client: &impl GenericClient,
    queue: &str,
    place: Position,
) -> Result<Option<Position>, Error> {
    let row = client
        .query_opt(
            "select (o->>0)::int8, (o->>1)::int8, (o->>2)::int8 \
               from pgq.queue q join pgq.tick t on t.tick_queue = q.queue_id \
              cross join lateral jsonb_array_elements(t.tick_origins) o \
              where q.queue_name = $1 and (o->>0)::int8 = $2 and (o->>1)::int8 <= $3 \
                and txid_snapshot_xmin(t.tick_snapshot) > q.queue_truncated_txid \
              order by (o->>1)::int8 desc, t.tick_id limit 1",
            &[&queue, &place.epoch.0, &place.tick.id.0],
        )
        .await
        .map_err(Error::database("ask the provider for an earlier place"))?;
    row.as_ref()
        .map(Position::of)
        .transpose()
        .map_err(Error::database("ask the provider for an earlier place"))
}

/// A table of the provider, and the same table in another log.
#[derive(Clone, Debug)]
pub struct Heir {
    /// Its oid in the other log.
    pub log_oid: u32,
    /// Its oid on the provider.
    pub oid: u32,
    /// Its name on the provider.
    pub table: TableName,
    /// Why not all of its changes after the place are in the provider's queue; none: all are.
    pub flaw: Option<String>,
    /// Its shape at the tick after which one goes on; none: no shape of it is known.
    pub shape: Option<Shape>,
    /// The shape as the provider wrote it (`sql/FORMAT.md`).
    pub definition: Option<String>,
}

/// The tables of a queue by the oids that they have in another log, for somebody who has applied that log up to `place`
/// and goes on after `tick` of the queue. Source: `trunkline.heirs`.
pub async fn heirs(
    client: &impl GenericClient,
    queue: &str,
    place: Position,
    tick: TickId,
) -> Result<Vec<Heir>, Error> {
    let failed =
        || Error::database("ask the provider which of its tables are those of the log before");
    let rows = client
        .query(
            "select schema_name, table_name, log_oid, table_oid, flaw, definition \
             from trunkline.heirs($1, $2, $3, $4)",
            &[&queue, &place.epoch.0, &place.tick.id.0, &tick.0],
        )
        .await
        .map_err(failed())?;
    rows.iter()
        .map(|row| {
            let definition: Option<String> = row.try_get(5).map_err(failed())?;
            let shape = definition.as_deref().map(Shape::from_json).transpose();
            Ok(Heir {
                log_oid: row.try_get(2).map_err(failed())?,
                oid: row.try_get(3).map_err(failed())?,
                table: TableName::of(row).map_err(failed())?,
                flaw: row.try_get(4).map_err(failed())?,
                shape: shape.map_err(|error| Error::Unexpected(error.to_string()))?,
                definition,
            })
        })
        .collect()
}

/// A table of a queue in one of the logs that it is written from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOrigin {
    /// Its oid on the provider.
    pub oid: u32,
    /// The log.
    pub epoch: Epoch,
    /// Its oid in that log.
    pub log_oid: u32,
}

/// The tables of a queue in the logs that they are written from, without the queue's own, nearest first, as far as that
/// was so at a tick of the queue already. Source: `trunkline.table_origins`.
pub async fn table_origins(
    client: &impl GenericClient,
    queue: &str,
    at: TickId,
) -> Result<Vec<TableOrigin>, Error> {
    let failed = || Error::database("ask the provider where its tables come from");
    let rows = client
        .query(
            "select o.table_oid, o.epoch, o.log_oid from trunkline.table_origins($1, $2) o \
              where o.epoch <> (select q.queue_epoch from pgq.queue q where q.queue_name = $1) order by 1, 2, 3",
            &[&queue, &at.0],
        )
        .await
        .map_err(failed())?;
    rows.iter()
        .map(|row| {
            Ok(TableOrigin {
                oid: row.try_get(0)?,
                epoch: Epoch(row.try_get(1)?),
                log_oid: row.try_get(2)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_and_its_origins_are_read_and_written_as_one_list() {
        let at = |epoch, id, tag| Position {
            epoch: Epoch(epoch),
            tick: Tick {
                id: TickId(id),
                tag: TickTag(tag),
            },
        };
        let own = at(-7, 12, 99);
        let places = Places::of(own, Some("[[5, 3, -4], [9223372036854775807, 1, 2]]")).unwrap();
        assert_eq!(places.0, [own, at(5, 3, -4), at(i64::MAX, 1, 2)]);
        assert_eq!(
            places.json(),
            "[[-7,12,99],[5,3,-4],[9223372036854775807,1,2]]"
        );
        assert_eq!(Places::of(own, None).unwrap().0, [own]);
        assert!(Places::of(own, Some("{}")).is_err());
    }
}
