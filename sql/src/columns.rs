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
