//! Rows of `trunkline.conflict` on a subscriber: rows that were not as the change said.

use tokio_postgres::GenericClient;

use crate::{name::TableName, tick::TickId};

/// How a row differed from what the change said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row to be updated or deleted was not there.
    Missing,
    /// A row to be inserted was there already.
    Exists,
}

impl Kind {
    /// The stored and logged word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Exists => "exists",
        }
    }
}

/// Rows that are kept for each consumer; older ones are deleted.
pub const KEPT_ROWS: i64 = 10_000;

/// Stores conflicts of one table in the transaction that applies the change. `keys` are the
/// rows' keys as record text. Returns the hash of each key, as logs show it.
pub async fn store(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    kind: Kind,
    keys: &[String],
    tick: TickId,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client
        .query(
            "insert into trunkline.conflict \
                 (consumer, schema_name, table_name, kind, row_key, key_hash, tick_id) \
             select $1, $2, $3, $4, k, \
                    pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.hashtext(k)), 8, '0'), $6 \
             from pg_catalog.unnest($5::text[]) k returning key_hash",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &kind.as_str(),
                &keys,
                &tick.0,
            ],
        )
        .await?;
    client
        .execute(
            "delete from trunkline.conflict where consumer = $1 and conflict_id <= ( \
                 select conflict_id from trunkline.conflict where consumer = $1 \
                 order by conflict_id desc offset $2 limit 1)",
            &[&consumer, &KEPT_ROWS],
        )
        .await?;
    client
        .execute(
            "update trunkline.table_state set conflicts = conflicts + $4 \
             where consumer = $1 and schema_name = $2 and table_name = $3",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &i64::try_from(keys.len()).unwrap_or(i64::MAX),
            ],
        )
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
