//! Foreign keys among the subscriber's tables, from the catalog.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// The query `key` of each foreign key that refers to another table: the table that has it, and the table that it
/// refers to. The text begins a statement, which goes on with further queries.
const KEYS: &str = "\
    with recursive key (child, parent) as ( \
        select k.conrelid, k.confrelid from pg_catalog.pg_constraint k \
         where k.contype = 'f' and k.conrelid <> k.confrelid)";

/// What reading foreign keys failed with.
fn could_not_read() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("read the subscriber's foreign keys")
}

/// Whether the foreign keys of `table`, or of tables that it refers to, refer to a table of the list `others` that does
/// not refer back to `table`: such a foreign key needs the rows of that table. The names in `others` are quoted; a name
/// that no table has is passed over.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn needs_one_of(
    client: &impl GenericClient,
    table: &TableName,
    others: &[String],
) -> Result<bool, Error> {
    client
        .query_one(
            &format!(
                "{KEYS}, above (parent) as ( \
                     select k.parent from key k where k.child = pg_catalog.to_regclass($1) \
                     union select k.parent from above a join key k on k.child = a.parent \
                 ) \
                 select exists (select from above a \
                     join pg_catalog.unnest($2::text[]) t (name) on pg_catalog.to_regclass(t.name) = a.parent \
                    where not exists (with recursive up (parent) as ( \
                              select k.parent from key k where k.child = a.parent \
                              union select k.parent from up u join key k on k.child = u.parent) \
                          select from up where up.parent = pg_catalog.to_regclass($1)))"
            ),
            &[&table.quoted(), &others],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(could_not_read())
}

/// Whether foreign keys refer to a table, or to a partition of it.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn refer_to(client: &impl GenericClient, table: u32) -> Result<bool, Error> {
    client
        .query_one(
            "with recursive tree (oid) as ( \
                 select $1::oid union select i.inhrelid from tree t \
                   join pg_catalog.pg_inherits i on i.inhparent = t.oid) \
             select exists (select from pg_catalog.pg_constraint k join tree t on t.oid = k.confrelid \
                             where k.contype = 'f')",
            &[&table],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(could_not_read())
}

/// For each table with a foreign key to another table, the length of the longest chain of foreign keys that begins at
/// the table, at least 1. A cycle is cut at 20.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn depths(client: &impl GenericClient) -> Result<HashMap<TableName, i32>, Error> {
    client
        .query(
            &format!(
                "{KEYS}, above (child, parent, depth) as ( \
                     select k.child, k.parent, 1 from key k \
                     union select a.child, k.parent, a.depth + 1 from above a join key k on k.child = a.parent \
                      where a.depth < 20 \
                 ) \
                 select n.nspname::text, c.relname::text, max(a.depth) from above a \
                   join pg_catalog.pg_class c on c.oid = a.child \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  group by 1, 2"
            ),
            &[],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| Ok((TableName::of(row)?, row.try_get(2)?)))
                .collect()
        })
        .map_err(could_not_read())
}

/// The tables that a constraint of a table is about: the table itself, and then the table that a foreign key refers to.
/// Empty if the table has no constraint of that name.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn tables_of(
    client: &impl GenericClient,
    table: &TableName,
    constraint: &str,
) -> Result<Vec<TableName>, Error> {
    client
        .query(
            "select n.nspname::text, c.relname::text \
               from pg_catalog.pg_constraint k \
               join pg_catalog.pg_class c on c.oid in (k.conrelid, k.confrelid) \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where k.conname = $1 and k.conrelid = pg_catalog.to_regclass($2) \
              order by c.oid <> k.conrelid",
            &[&constraint, &table.quoted()],
        )
        .await
        .and_then(|rows| rows.iter().map(TableName::of).collect())
        .map_err(Error::database("read a constraint"))
}

/// The subscriber's table of a provider's table, quoted, if `role` has the right REFERENCES neither on it nor on any
/// column of it; none: the role has the right, or the table does not exist. If the role had the right on some columns,
/// revoking a right on the table would revoke that, too.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read, or there is no such role.
pub async fn not_referable(
    client: &impl GenericClient,
    table: &TableName,
    role: &str,
) -> Result<Option<String>, Error> {
    client
        .query_opt(
            "select c.oid::regclass::text from ( \
                 select to_regclass(format('%I.%I', coalesce(s.target_schema, n.schema), \
                     coalesce(s.target_name, n.name))) as oid \
                   from (values ($1::text, $2::text)) n (schema, name) \
                   left join trunkline.table_state s on s.schema_name = n.schema and s.table_name = n.name \
                  limit 1) c \
              where c.oid is not null and not has_any_column_privilege($3::text, c.oid::oid, 'references')",
            &[&table.schema, &table.name, &role],
        )
        .await
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(Error::database("read rights on a table"))
}
