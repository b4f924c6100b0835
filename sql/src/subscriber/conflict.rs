//! Rows of `trunkline.conflict` on a subscriber: rows that were not as the change said.

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName, queue::tick::TickId};

/// How a row differed from what the change said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictKind {
    /// A row that was to be updated or deleted did not exist.
    Missing,
    /// A row that was to be inserted existed already.
    Exists,
}

impl ConflictKind {
    /// The kind's word, as it is stored and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            ConflictKind::Missing => "missing",
            ConflictKind::Exists => "exists",
        }
    }
}

/// What happens when a row is not as its change says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The provider's row wins.
    Overwrite,
    /// The table stops.
    Stop,
}

impl OnConflict {
    /// The word as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            OnConflict::Overwrite => "overwrite",
            OnConflict::Stop => "stop",
        }
    }
}

/// How many rows are kept for each consumer; older rows are deleted.
pub const KEPT_ROWS: i64 = 10_000;

/// How many rows of one call are kept; these are the first rows.
const KEPT_OF_CALL: usize = 1_000;

/// How many characters of a key are kept.
pub const KEPT_KEY_CHARACTERS: i32 = 4_000;

/// Conflicts of one kind.
#[derive(Clone, Copy, Debug)]
pub struct ConflictCount<'a> {
    /// The table, by its name on the provider.
    pub table: &'a TableName,
    /// The table's oid on the provider.
    pub provider_oid: u32,
    /// How the rows differ.
    pub kind: ConflictKind,
    /// The rows' keys as record text; at least one.
    pub keys: &'a [String],
    /// The tick of the batch.
    pub tick: TickId,
}

/// Stores and counts conflicts of one table in the transaction that applies the change. Returns
/// the hash of the first key, as logs show it.
pub async fn store(
    client: &impl GenericClient,
    consumer: &str,
    found: &ConflictCount<'_>,
) -> Result<Option<String>, Error> {
    let kept = &found.keys[..found.keys.len().min(KEPT_OF_CALL)];
    let rows = client
        .query(
            "insert into trunkline.conflict \
                 (consumer, schema_name, table_name, kind, row_key, key_hash, tick_id) \
             select $1, $2, $3, $4, pg_catalog.left(k, $7), \
                    pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.hashtext(k)), 8, '0'), $6 \
             from pg_catalog.unnest($5::text[]) k returning key_hash",
            &[
                &consumer,
                &found.table.schema,
                &found.table.name,
                &found.kind.as_str(),
                &kept,
                &found.tick.0,
                &KEPT_KEY_CHARACTERS,
            ],
        )
        .await
        .map_err(could_not_store())?;
    client
        .execute(
            "delete from trunkline.conflict where consumer = $1 and conflict_id <= ( \
                 select conflict_id from trunkline.conflict where consumer = $1 \
                 order by conflict_id desc offset $2 limit 1)",
            &[&consumer, &KEPT_ROWS],
        )
        .await
        .map_err(could_not_store())?;
    client
        .execute(
            "update trunkline.table_state set conflicts = conflicts + $3 \
             where consumer = $1 and provider_oid = $2",
            &[
                &consumer,
                &found.provider_oid,
                &i64::try_from(found.keys.len()).unwrap_or(i64::MAX),
            ],
        )
        .await
        .map_err(could_not_store())?;
    let first = rows.first().map(|row| row.try_get(0));
    first.transpose().map_err(could_not_store())
}

fn could_not_store() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("store conflicts")
}
