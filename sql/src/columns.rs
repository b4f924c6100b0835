//! The columns of a table in any database. Reads the catalog.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use crate::error::Error;

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
