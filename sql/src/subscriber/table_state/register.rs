//! How a table comes into a consumer's list, and leaves it.

use tokio_postgres::GenericClient;

use super::{Existing, Writer, other_writer};
use crate::{
    error::Error,
    event::mapping::{self, Mapping},
    moment,
    name::TableName,
    subscriber::definition,
};

/// The result of registering a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The table is registered now, in state `-`.
    Done,
    /// The table was registered already; nothing was changed.
    Already,
    /// Another table, of any job, is written to the same target.
    TargetTaken(Writer),
}

/// Registers a table in state `-`, in a transaction of its own. If the target is captured in this database, its capture
/// logs from then on what replay writes to it, so that others can follow the table from here. That takes the table's
/// lock, which is tried for in moments.
pub async fn register(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    provider_oid: u32,
    existing: Existing,
    mapping: &Mapping,
) -> Result<Registered, Error> {
    let tries = moment::Tries::within(moment::LIMIT);
    loop {
        match try_register(client, consumer, table, provider_oid, existing, mapping).await {
            Ok(done) => return Ok(done),
            Err(error) => tries.again(error).await?,
        }
    }
}

async fn try_register(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    provider_oid: u32,
    existing: Existing,
    mapping: &Mapping,
) -> Result<Registered, Error> {
    let failed = || Error::database(format!("register {table}"));
    // Tables are registered one at a time: of two tables with the same target the second must see the first.
    client
        .batch_execute(&format!(
            "begin isolation level read committed; \
             select pg_advisory_xact_lock(hashtext('trunkline.table_state')); {}",
            moment::in_transaction()
        ))
        .await
        .map_err(failed())?;
    let made = async {
        let target = mapping.target_of(table);
        if let Some(other) = other_writer(client, target, consumer, table, mapping).await? {
            return Ok(Registered::TargetTaken(other));
        }
        let made = insert(client, consumer, table, provider_oid, existing, mapping).await;
        Ok(if made.map_err(failed())? {
            log_what_is_written(client, target).await?;
            Registered::Done
        } else {
            Registered::Already
        })
    };
    let made = made.await;
    let end = if made.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await;
    made.and_then(|made| ended.map(|()| made).map_err(failed()))
}

/// Has the target's capture, if there is one, log what replay writes. Source: `trunkline.set_writers`.
pub(in crate::subscriber) async fn log_what_is_written(
    client: &impl GenericClient,
    target: &TableName,
) -> Result<(), Error> {
    if definition::has_function(client, "trunkline.set_writers(oid)").await? {
        client
            .execute(
                "select trunkline.set_writers(to_regclass($1))",
                &[&target.quoted()],
            )
            .await
            .map_err(Error::database(format!("register {target}")))?;
    }
    Ok(())
}

async fn insert(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    provider_oid: u32,
    existing: Existing,
    mapping: &Mapping,
) -> Result<bool, tokio_postgres::Error> {
    let target = mapping.target.as_ref();
    let (columns, names) = mapping.columns.as_deref().map(mapping::stored).unzip();
    let (filter, merge) = (mapping.filter.as_ref(), mapping.merge.as_ref());
    let (read, known_as) = filter.map(|one| mapping::stored(&one.columns)).unzip();
    let made = client
        .execute(
            "insert into trunkline.table_state \
                 (consumer, schema_name, table_name, provider_oid, existing, target_schema, \
                  target_name, column_attnums, column_names, filter, filter_attnums, filter_names, \
                  merge_filter, merge_form, merge_columns) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
             on conflict do nothing",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &provider_oid,
                &existing.as_str(),
                &target.map(|one| one.schema.as_str()),
                &target.map(|one| one.name.as_str()),
                &columns,
                &names,
                &filter.map(|one| one.condition.as_str()),
                &read,
                &known_as,
                &merge.map(|one| one.condition.as_str()),
                &merge.map(|one| one.form.as_str()),
                &merge.map(|one| one.columns.as_slice()),
            ],
        )
        .await?;
    Ok(made == 1)
}

/// Deletes a table's row; a batch loop that still has the table in its list cannot commit any more. False if there was
/// no row. Who follows the table from this database is told in the same transaction that its rows are its own from now
/// on (`trunkline.log_own`).
pub async fn remove(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<bool, Error> {
    let failed = || Error::database(format!("remove {table}"));
    let logged = definition::has_function(client, "trunkline.log_own(text, oid)").await?;
    let told = if logged {
        ", trunkline.log_own(gone.consumer, gone.target_oid)"
    } else {
        ""
    };
    let gone = client
        .query(
            &format!(
                "with gone as ( \
                     delete from trunkline.table_state \
                     where consumer = $1 and schema_name = $2 and table_name = $3 \
                     returning consumer, target_oid), \
                 moved as ( \
                     update trunkline.position p set tables_version = tables_version + 1 \
                     from gone where p.consumer = gone.consumer) \
                 select 1{told} from gone"
            ),
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .map_err(failed())?;
    Ok(!gone.is_empty())
}
