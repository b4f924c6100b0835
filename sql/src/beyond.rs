//! What a subscriber has applied of a former provider's log after the place at which a later one has begun: asked of
//! the later one. Through schema trunkline's functions only.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::queue::tick::{Tick, TickId, TickTag};
use crate::subscriber::position::Position;

/// What is known of such a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    /// The last tick of that log that the later provider has.
    pub border: Position,
    /// What operators call the former provider.
    pub old_name: Option<String>,
    /// What was written after the border.
    pub written: Written,
}

/// What was written to a log after the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// These tables, by their oids in that log.
    Tables(HashMap<u32, Way>),
    /// The log did not hold it any more when it was looked through.
    Gone,
    /// The former provider has not told yet.
    Unknown,
}

/// How the rows of a table that was written come into step again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The keys of all changes are known: their rows are fetched.
    Keys,
    /// The table is copied.
    Copy,
}

/// A key of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostKey {
    /// The number of the change.
    pub number: i64,
    /// The table, by its oid in that log.
    pub table_oid: u32,
    /// The key as the log has it.
    pub key: String,
    /// The names of the key's columns, in its order.
    pub columns: Vec<String>,
}

/// What is known of the log of `position` after the place at which the provider, or one between, has begun. None:
/// nobody has begun at an earlier tick of that log, or no roles are installed there. Source: `trunkline.lost_beyond`.
pub async fn ask(
    provider: &impl GenericClient,
    queue: &str,
    position: Position,
) -> Result<Option<Beyond>, Error> {
    if !function_exists(
        provider,
        Schema::Trunkline,
        "lost_beyond(text,bigint,bigint)",
    )
    .await?
    {
        return Ok(None);
    }
    let row = provider
        .query_opt(
            "select tick_id, tick_tag, old_name, state, tables::text from trunkline.lost_beyond($1, $2, $3)",
            &[&queue, &position.epoch.0, &position.tick.id.0],
        )
        .await
        .map_err(Error::database("ask the provider for what it never had"))?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (state, tables): (String, String) = (column(&row, 3)?, column(&row, 4)?);
    Ok(Some(Beyond {
        border: Position {
            epoch: position.epoch,
            tick: Tick {
                id: TickId(column(&row, 0)?),
                tag: TickTag(column(&row, 1)?),
            },
        },
        old_name: column(&row, 2)?,
        written: match state.as_str() {
            "kept" => Written::Tables(ways(&tables)?),
            "gone" => Written::Gone,
            _ => Written::Unknown,
        },
    }))
}

fn ways(json: &str) -> Result<HashMap<u32, Way>, Error> {
    let wrong = |what: &dyn std::fmt::Display| Error::Unexpected(format!("tables {json}: {what}"));
    let read: HashMap<String, String> =
        serde_json::from_str(json).map_err(|error| wrong(&error))?;
    let ways = read.into_iter().map(|(oid, way)| {
        let oid = oid.parse().map_err(|error| wrong(&error))?;
        match way.as_str() {
            "keys" => Ok((oid, Way::Keys)),
            "copy" => Ok((oid, Way::Copy)),
            _ => Err(wrong(&way)),
        }
    });
    ways.collect()
}

/// At most `limit` keys of the stretch after `border`, of changes that come after a number. Source:
/// `trunkline.lost_keys`.
pub async fn keys(
    provider: &impl GenericClient,
    queue: &str,
    border: Position,
    after: i64,
    limit: i32,
) -> Result<Vec<LostKey>, Error> {
    let rows = provider
        .query(
            "select number, table_oid, key_text, key_columns from trunkline.lost_keys($1, $2, $3, $4, $5)",
            &[
                &queue,
                &border.epoch.0,
                &border.tick.id.0,
                &after,
                &limit,
            ],
        )
        .await
        .map_err(Error::database("ask the provider for the keys of lost changes"))?;
    rows.iter()
        .map(|row| {
            Ok(LostKey {
                number: column(row, 0)?,
                table_oid: column(row, 1)?,
                key: column(row, 2)?,
                columns: column(row, 3)?,
            })
        })
        .collect()
}
