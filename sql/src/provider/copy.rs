//! What a copy of a table asks of the provider before it reads rows. Reads the catalog.

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName, queue::tick::SnapshotText};

/// The snapshot that all parts of a copy share, and what a copy must know of the server.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The transactions that the snapshot shows.
    pub snapshot: SnapshotText,
    /// The snapshot's name for other sessions.
    pub name: String,
    /// Whether the server finds a range of pages without reading the rest.
    pub reads_ranges: bool,
    /// Bytes of a page.
    pub page_bytes: i64,
}

/// Takes the snapshot of the session's open transaction, and exports it: other sessions can read it as long as the
/// transaction is open.
///
/// # Errors
/// [`Error::Database`] if the server does not export it.
pub async fn export_snapshot(client: &impl GenericClient) -> Result<Exported, Error> {
    client
        .query_one(
            "select txid_current_snapshot()::text, pg_export_snapshot(), \
                    current_setting('server_version_num')::int >= 140000, \
                    current_setting('block_size')::int8",
            &[],
        )
        .await
        .and_then(|row| {
            Ok(Exported {
                snapshot: SnapshotText(row.try_get(0)?),
                name: row.try_get(1)?,
                reads_ranges: row.try_get(2)?,
                page_bytes: row.try_get(3)?,
            })
        })
        .map_err(Error::database("take a snapshot"))
}

/// A table of the provider with rows, and its size.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The table's name.
    pub name: TableName,
    /// Pages of the table's main fork.
    pub pages: i64,
    /// Bytes of the table, with those of its TOAST table.
    pub bytes: i64,
}

/// The relations with the rows of the table with an oid, the largest first: the table itself; if it is partitioned, its
/// leaf partitions. Empty if there is no such table.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn relations(client: &impl GenericClient, oid: u32) -> Result<Vec<Relation>, Error> {
    client
        .query(
            "with recursive tree as ( \
                 select c.oid, c.relkind from pg_class c where c.oid = $1 \
                 union all \
                 select c.oid, c.relkind from tree t \
                   join pg_inherits i on t.relkind = 'p' and i.inhparent = t.oid \
                   join pg_class c on c.oid = i.inhrelid) \
             select n.nspname::text, c.relname::text, \
                    pg_relation_size(c.oid) / current_setting('block_size')::int8, \
                    pg_table_size(c.oid) \
             from tree t join pg_class c on c.oid = t.oid \
             join pg_namespace n on n.oid = c.relnamespace \
             where t.relkind <> 'p' order by 3 desc, 1, 2",
            &[&oid],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| {
                    Ok(Relation {
                        name: TableName::of(row)?,
                        pages: row.try_get(2)?,
                        bytes: row.try_get(3)?,
                    })
                })
                .collect()
        })
        .map_err(Error::database("read a table's size"))
}
