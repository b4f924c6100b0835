//! A failover: nodes are held where they stand in the log of a provider that is off, and one of them takes its place.
//! Reads and changes all through schema trunkline's functions.

use serde::Deserialize;
use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::operation::{OperationId, Part, Plan};
use crate::queue::lineage::NodeId;
use crate::queue::tick::{Epoch, Tick, TickId, TickTag};
use crate::subscriber::position::Position;

/// Holds this node where it stands. Source: `trunkline.freeze`.
///
/// `old_term`: the reign that has ended.
///
/// # Errors
/// Those of the function: `55006` another operation runs, `55P03` a batch is just being committed, `55000` the node
/// follows nobody, or has heard of a later provider.
pub async fn freeze(client: &impl GenericClient, plan: &Plan, old_term: i64) -> Result<(), Error> {
    let Plan { old, new, .. } = plan;
    client
        .execute(
            "select trunkline.freeze($1, $2, $3, $4, $5, $6, $7)",
            &[
                &plan.queue,
                &plan.id.0,
                &old.node.0,
                &old.name,
                &old_term,
                &new.node.0,
                &new.name,
            ],
        )
        .await
        .map_err(Error::database(format!(
            "hold the node in the log of queue {}",
            plan.queue
        )))?;
    Ok(())
}

/// A tick, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedTick {
    /// The tick's number.
    pub id: TickId,
    /// Seconds since 1970, by the clock of the provider that made it.
    pub time: f64,
}

/// What was decided about the node that becomes the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Election {
    /// The node.
    pub new: Part,
    /// Where the log of the provider before ends.
    pub last: Position,
    /// When that tick was made; seconds since 1970.
    pub last_time: f64,
    /// The last tick of that log that any node has heard of.
    pub heard: Option<TimedTick>,
    /// How many steps more the sequences are set forward.
    pub sequence_margin: i32,
}

/// Notes on a node that is held who becomes the provider. Source: `trunkline.elect`.
///
/// # Errors
/// `55000` the operation is over, or another node was elected, which may be the provider.
pub async fn elect(
    client: &impl GenericClient,
    queue: &str,
    id: OperationId,
    election: &Election,
) -> Result<(), Error> {
    let Election { new, last, .. } = election;
    client
        .execute(
            "select trunkline.elect($1, $2, $3, $4, $5, $6, $7, pg_catalog.to_timestamp($8::float8), $9, \
                                    pg_catalog.to_timestamp($10::float8), $11)",
            &[
                &queue,
                &id.0,
                &new.node.0,
                &new.name,
                &last.epoch.0,
                &last.tick.id.0,
                &last.tick.tag.0,
                &election.last_time,
                &election.heard.map(|heard| heard.id.0),
                &election.heard.map(|heard| heard.time),
                &election.sequence_margin,
            ],
        )
        .await
        .map_err(Error::database(format!(
            "note who becomes the provider of queue {queue}"
        )))?;
    Ok(())
}

/// What was elected by an operation; None: nobody was, as far as this node knows. Source: `trunkline.operation`.
pub async fn elected(
    client: &impl GenericClient,
    queue: &str,
    id: OperationId,
) -> Result<Option<Election>, Error> {
    let doing = || Error::database(format!("ask who becomes the provider of queue {queue}"));
    let row = client
        .query_opt(
            "select final_epoch, final_tick_id, final_tick_tag, new_node, new_name, \
                    extract(epoch from final_tick_time)::float8, heard_tick_id, \
                    extract(epoch from heard_tick_time)::float8, sequence_margin \
               from trunkline.operation \
              where queue_name = $1 and operation_id = $2 and num_nulls(final_tick_time, sequence_margin) = 0",
            &[&queue, &id.0],
        )
        .await
        .map_err(doing())?;
    let elected = |row: &Row| {
        let heard: (Option<i64>, Option<f64>) = (column(row, 6)?, column(row, 7)?);
        Ok(Election {
            new: Part {
                node: NodeId(column(row, 3)?),
                name: column(row, 4)?,
            },
            last: Position::of(row).map_err(doing())?,
            last_time: column(row, 5)?,
            heard: heard.0.zip(heard.1).map(|(id, time)| TimedTick {
                id: TickId(id),
                time,
            }),
            sequence_margin: column(row, 8)?,
        })
    };
    row.as_ref().map(elected).transpose()
}

/// Where a node stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The last tick that is applied, by all names that it has, nearest first.
    pub names: Vec<Position>,
    /// When it was made; seconds since 1970, by the clock of the node that it is read from.
    pub time: f64,
    /// Where that node is, without credentials; None: not known.
    pub address: Option<String>,
    /// Why replay does not go on, if somebody must do something about it.
    pub error: Option<String>,
}

/// A name of a place: epoch, tick, tag.
#[derive(Deserialize)]
struct Name(i64, i64, i64);

/// Where the replay that brings a queue's tables stands; None: there is none. Source: `trunkline.position`,
/// `trunkline.own_places`.
pub async fn place(client: &impl GenericClient, queue: &str) -> Result<Option<Place>, Error> {
    let doing = || Error::database(format!("ask how far queue {queue} is applied"));
    let row = client
        .query_opt(
            "select trunkline.own_places(p.queue, p.consumer)::text, \
                    extract(epoch from p.tick_time)::float8, p.address, \
                    case when p.last_error_advice is not null then p.last_error end \
               from trunkline.position p where p.queue = $1 order by p.applied_at desc, p.consumer limit 1",
            &[&queue],
        )
        .await
        .map_err(doing())?;
    let Some(row) = row else { return Ok(None) };
    let names: String = column(&row, 0)?;
    let names: Vec<Name> = serde_json::from_str(&names)
        .map_err(|error| Error::Unexpected(format!("a node's place is {names}: {error}")))?;
    let names = names.into_iter().map(|Name(epoch, id, tag)| Position {
        epoch: Epoch(epoch),
        tick: Tick {
            id: TickId(id),
            tag: TickTag(tag),
        },
    });
    Ok(Some(Place {
        names: names.collect(),
        time: column(&row, 1)?,
        address: column(&row, 2)?,
        error: column(&row, 3)?,
    }))
}
