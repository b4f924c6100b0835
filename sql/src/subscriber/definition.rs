//! What the subscriber's tables, indexes and constraints are like. Reads the catalog.

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// Whether there is an index with the name `index`, and one of the `statements` would make it as it is.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn is_index_made_by(
    client: &impl GenericClient,
    index: &TableName,
    statements: &[String],
) -> Result<bool, Error> {
    client
        .query_one(
            "select coalesce(pg_get_indexdef(to_regclass($1)) = any ($2), false)",
            &[&index.quoted(), &statements],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read index {index}")))
}

/// Whether a table has a constraint with a name. False if there is no such table.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn has_constraint(
    client: &impl GenericClient,
    table: &TableName,
    constraint: &str,
) -> Result<bool, Error> {
    client
        .query_one(
            "select exists (select from pg_constraint \
                 where conrelid = to_regclass($1) and conname = $2)",
            &[&table.quoted(), &constraint],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read constraints of {table}")))
}
