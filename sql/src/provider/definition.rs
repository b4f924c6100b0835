//! What making tables as they are on the provider asks of the provider. Reads the catalog.

use std::collections::HashSet;

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// Begins a transaction, which the caller ends, and gives its snapshot's name for other sessions.
///
/// # Errors
/// [`Error::Database`] if the server does not export the snapshot.
pub async fn begin_snapshot(client: &impl GenericClient) -> Result<String, Error> {
    let doing = || Error::database("export a snapshot of the provider");
    client
        .batch_execute("begin isolation level repeatable read read only")
        .await
        .map_err(doing())?;
    client
        .query_one("select pg_catalog.pg_export_snapshot()", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(doing())
}

/// The users' tables that the session's role may not read.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn unreadable_tables(client: &impl GenericClient) -> Result<Vec<TableName>, Error> {
    client
        .query(
            "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' \
                and n.nspname not in ('information_schema', 'pgq', 'pgq_ext', 'pgq_coop', 'trunkline') \
                and not (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))",
            &[],
        )
        .await
        .and_then(|rows| rows.iter().map(TableName::of).collect())
        .map_err(Error::database("list the provider's tables"))
}

/// Tables with all that is part of them.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// The oids of the tables, with all their partitions.
    pub tables: Vec<u32>,
    /// The oids of the foreign keys of these tables; foreign keys of other tables to them are not meant.
    pub foreign_keys: HashSet<u32>,
}

/// The tables with these oids, with their partitions and foreign keys.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn whole_tables(client: &impl GenericClient, oids: &[u32]) -> Result<Whole, Error> {
    client
        .query_one(
            "with recursive tree as ( \
                 select c.oid, c.relkind from pg_catalog.pg_class c where c.oid = any ($1) \
                 union all \
                 select c.oid, c.relkind from tree t \
                   join pg_catalog.pg_inherits i on t.relkind = 'p' and i.inhparent = t.oid \
                   join pg_catalog.pg_class c on c.oid = i.inhrelid) \
             select array(select oid from tree), \
                    array(select k.oid from pg_catalog.pg_constraint k join tree t on t.oid = k.conrelid \
                           where k.contype = 'f')",
            &[&oids],
        )
        .await
        .and_then(|row| {
            let foreign_keys: Vec<u32> = row.try_get(1)?;
            Ok(Whole {
                tables: row.try_get(0)?,
                foreign_keys: foreign_keys.into_iter().collect(),
            })
        })
        .map_err(Error::database("read the tables' partitions"))
}

/// A foreign key of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table that has the foreign key.
    pub on: TableName,
    /// The constraint's name.
    pub name: String,
    /// The table that the foreign key refers to.
    pub to: TableName,
}

/// The foreign keys with these oids, by their tables and names.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn foreign_keys(
    client: &impl GenericClient,
    oids: &[u32],
) -> Result<Vec<ForeignKey>, Error> {
    client
        .query(
            "select n.nspname::text, c.relname::text, k.conname::text, f.nspname::text, r.relname::text \
               from pg_catalog.pg_constraint k \
               join pg_catalog.pg_class c on c.oid = k.conrelid \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               join pg_catalog.pg_class r on r.oid = k.confrelid \
               join pg_catalog.pg_namespace f on f.oid = r.relnamespace \
              where k.oid = any ($1) order by 1, 2, 3",
            &[&oids],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| {
                    Ok(ForeignKey {
                        on: TableName::of(row)?,
                        name: row.try_get(2)?,
                        to: TableName::new(
                            row.try_get::<_, String>(3)?,
                            row.try_get::<_, String>(4)?,
                        ),
                    })
                })
                .collect()
        })
        .map_err(Error::database("read the names of foreign keys"))
}
