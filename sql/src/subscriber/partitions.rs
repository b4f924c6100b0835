//! The subscriber's partitioned tables, and the files that tables and their partitions have. Reads the catalog.

use tokio_postgres::GenericClient;

use crate::{error::Error, event::part::Partition, name::TableName};

/// For each of the given tables, in their order, whether it is partitioned. A table that does not exist is not.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn are_partitioned(
    client: &impl GenericClient,
    tables: &[&TableName],
) -> Result<Vec<bool>, Error> {
    let schemas: Vec<&str> = tables.iter().map(|one| one.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|one| one.name.as_str()).collect();
    client
        .query(
            "select exists (select from pg_catalog.pg_class c \
                              join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                             where n.nspname = t.schema and c.relname = t.name and c.relkind = 'p') \
               from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) \
                   with ordinality t (schema, name, place) \
              order by t.place",
            &[&schemas, &names],
        )
        .await
        .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("look for partitioned tables"))
}

/// Whether a table has a partition, or a partition of one, with the name and the bound of the provider's partition
/// `part`.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn has_same(
    client: &impl GenericClient,
    table: &TableName,
    part: &Partition,
) -> Result<bool, Error> {
    client
        .query_one(
            "with recursive above (one) as ( \
                 select c.oid from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname = $1 and c.relname = $2 and c.relispartition \
                    and pg_catalog.pg_get_expr(c.relpartbound, c.oid) = $3 \
                 union all \
                 select i.inhparent from above a join pg_catalog.pg_inherits i on i.inhrelid = a.one) \
             select exists (select from above a \
                              join pg_catalog.pg_class c on c.oid = a.one \
                              join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                             where n.nspname = $4 and c.relname = $5)",
            &[
                &part.part.schema,
                &part.part.name,
                &part.bound,
                &table.schema,
                &table.name,
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for a partition on the subscriber"))
}

/// The files of a table and its partitions, each as `oid.number`: its table's oid and its own number. Empty if the
/// table does not exist.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn files(client: &impl GenericClient, table: &TableName) -> Result<Vec<String>, Error> {
    client
        .query_one(
            "with recursive tree (oid) as ( \
                 select to_regclass($1)::oid \
                 union all \
                 select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid \
                   join pg_class c on c.oid = i.inhrelid and c.relispartition) \
             select coalesce(array_agg(c.oid || '.' || c.relfilenode), '{}') \
               from tree t join pg_class c on c.oid = t.oid",
            &[&table.quoted()],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(
            "look for a table's files on the subscriber",
        ))
}
