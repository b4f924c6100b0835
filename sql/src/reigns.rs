//! Which node became the provider of a set, and where its log begins, as a node of the set knows. Through schema
//! trunkline's functions only.

use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::queue::tick::{Epoch, Tick, TickId, TickTag};
use crate::subscriber::position::Position;

/// A provider's reign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reign {
    /// Its number.
    pub term: i64,
    /// `first`, `switchover` or `failover`.
    pub kind: String,
    /// What operators call the node, else its identity.
    pub name: String,
    /// Where the log of the provider before was left; none: it is the first.
    pub before: Option<Position>,
    /// Where its own log begins.
    pub begins: Position,
}

/// The reigns of a set, the first one first; none where no roles are installed. Source: `trunkline.introduce`.
pub async fn list(client: &impl GenericClient, queue: &str) -> Result<Vec<Reign>, Error> {
    if !function_exists(client, Schema::Trunkline, "introduce(text)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select h.term, h.kind, coalesce(h.node_name, h.node_id::text), h.epoch, h.tick_id, h.tick_tag, \
                    h.old_epoch, h.old_tick_id, h.old_tick_tag \
               from jsonb_to_recordset(trunkline.introduce($1) -> 'history') h ( \
                    term bigint, kind text, node_name text, node_id bigint, epoch bigint, tick_id bigint, \
                    tick_tag bigint, old_epoch bigint, old_tick_id bigint, old_tick_tag bigint) \
              order by h.term, h.node_id",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask who was the provider"))?;
    rows.iter().map(reign).collect()
}

fn reign(row: &Row) -> Result<Reign, Error> {
    let place = |epoch, id, tag| Position {
        epoch: Epoch(epoch),
        tick: Tick {
            id: TickId(id),
            tag: TickTag(tag),
        },
    };
    let old: (Option<i64>, Option<i64>, Option<i64>) =
        (column(row, 6)?, column(row, 7)?, column(row, 8)?);
    Ok(Reign {
        term: column(row, 0)?,
        kind: column(row, 1)?,
        name: column(row, 2)?,
        before: match old {
            (Some(epoch), Some(id), Some(tag)) => Some(place(epoch, id, tag)),
            _ => None,
        },
        begins: place(column(row, 3)?, column(row, 4)?, column(row, 5)?),
    })
}
