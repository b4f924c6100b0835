//! The columns of a table in any database. Reads the catalog.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// The oids of the types of a table's columns, by the columns' names. Empty if there is no table with the oid.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn types(client: &impl GenericClient, oid: u32) -> Result<HashMap<String, u32>, Error> {
    client
        .query(
            "select attname::text, atttypid from pg_catalog.pg_attribute \
             where attrelid = $1 and attnum > 0 and not attisdropped",
            &[&oid],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect()
        })
        .map_err(Error::database("read the types of a table's columns"))
}

/// The columns of a table in their order: name, type as `format_type` writes it with the session's search_path, and the
/// type's oid. Generated columns are left out.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn named(
    client: &impl GenericClient,
    oid: u32,
) -> Result<Vec<(String, String, u32)>, Error> {
    client
        .query(
            "select a.attname::text, format_type(a.atttypid, a.atttypmod), a.atttypid \
               from pg_catalog.pg_attribute a \
              where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped \
                and coalesce(to_jsonb(a) ->> 'attgenerated', '') = '' \
              order by a.attnum",
            &[&oid],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
                .collect()
        })
        .map_err(Error::database("read a table's columns"))
}

/// What a comparison must know of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The column's type with modifiers, as the server writes it where only `pg_catalog` is searched.
    pub type_name: String,
    /// The same; of a domain, the type that it is over in the end.
    pub base_type: String,
    /// The column itself refuses null.
    pub is_not_null: bool,
    /// The server itself brings the type.
    pub is_of_server: bool,
    /// Values of the type have no collation, or are ordered by their bytes.
    pub is_in_byte_order: bool,
    /// How far the order of the values is that of the rows in the table, from -1 to 1; none: not known.
    pub correlation: Option<f32>,
}

/// The columns of a table, by their names.
///
/// # Errors
/// [`Error::Database`] if there is no such table, or the catalog cannot be read.
pub async fn described(
    client: &impl GenericClient,
    table: &TableName,
) -> Result<HashMap<String, Described>, Error> {
    // The provider of a database's collation is known from version 15 on; before, it is the C library.
    client
        .query(
            "select a.attname::text, format_type(a.atttypid, a.atttypmod), \
                    t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b', \
                    a.attcollation = 0 or coalesce(case when c.collname = 'default' \
                        then d.datcollate in ('C', 'POSIX') \
                             and coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' \
                        else c.collname in ('C', 'POSIX') \
                             and c.collnamespace = 'pg_catalog'::regnamespace end, false), \
                    (select s.correlation from pg_catalog.pg_stats s join pg_catalog.pg_class r on r.oid = a.attrelid \
                      join pg_catalog.pg_namespace n on n.oid = r.relnamespace \
                      where s.schemaname = n.nspname and s.tablename = r.relname \
                        and s.attname = a.attname and not s.inherited), \
                    (with recursive below (type, modifier, depth) as ( \
                         select a.atttypid, a.atttypmod, 0 \
                         union all \
                         select b.typbasetype, b.typtypmod, w.depth + 1 \
                           from below w join pg_catalog.pg_type b on b.oid = w.type and b.typtype = 'd') \
                     select format_type(w.type, w.modifier) from below w order by w.depth desc limit 1), \
                    a.attnotnull \
             from pg_catalog.pg_attribute a \
             join pg_catalog.pg_type t on t.oid = a.atttypid \
             join pg_catalog.pg_database d on d.datname = current_database() \
             left join pg_catalog.pg_collation c on c.oid = a.attcollation \
             where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped",
            &[&table.quoted()],
        )
        .await
        .and_then(|rows| {
            rows.iter()
                .map(|row| {
                    let described = Described {
                        type_name: row.try_get(1)?,
                        is_of_server: row.try_get(2)?,
                        is_in_byte_order: row.try_get(3)?,
                        correlation: row.try_get(4)?,
                        base_type: row.try_get(5)?,
                        is_not_null: row.try_get(6)?,
                    };
                    Ok((row.try_get(0)?, described))
                })
                .collect()
        })
        .map_err(Error::database(format!("read the columns of {table}")))
}
