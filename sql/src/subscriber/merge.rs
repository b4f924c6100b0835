//! Tries a condition that tells a job's rows of a subscriber's table from those of other jobs.

use tokio_postgres::GenericClient;

use crate::{error::Error, event::mapping::Merge, name::TableName};

/// Reads a condition as the subscriber understands it on a row of a table. Names are looked up in pg_catalog alone.
///
/// # Errors
/// The server's error for a text that is no such condition, or that uses more than the server's own types, functions
/// and operators; or if there is no such table.
pub async fn check(
    client: &impl GenericClient,
    target: &TableName,
    condition: &str,
) -> Result<Merge, Error> {
    let failed = || {
        Error::database(format!(
            "try the merge condition of {target} on the subscriber"
        ))
    };
    // All that is made is taken back.
    client
        .batch_execute("begin isolation level read committed read write")
        .await
        .map_err(failed())?;
    let found = found(client, target, condition).await;
    let ended = client.batch_execute("rollback").await;
    found
        .and_then(|found| ended.map(|()| found))
        .map_err(failed())
}

async fn found(
    client: &impl GenericClient,
    target: &TableName,
    condition: &str,
) -> Result<Merge, tokio_postgres::Error> {
    let scratch: String = client
        .query_one(
            "select trunkline.merge_table($1, $2)",
            &[&target.schema, &target.name],
        )
        .await?
        .try_get(0)?;
    client
        .batch_execute("set local search_path = pg_catalog, pg_temp")
        .await?;
    // The extended protocol is used, because the simple protocol would take a second statement. The condition has a
    // line of its own, so that a comment in it ends.
    client
        .execute(
            &format!("create index on {scratch} ((1)) where (\n{condition}\n)"),
            &[],
        )
        .await?;
    let row = client
        .query_one(
            "select condition, form, columns from trunkline.merge_found($1)",
            &[&target.name],
        )
        .await?;
    Ok(Merge {
        condition: row.try_get(0)?,
        form: row.try_get(1)?,
        columns: row.try_get(2)?,
    })
}
