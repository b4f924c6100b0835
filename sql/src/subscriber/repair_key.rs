//! Rows of `trunkline.repair_key` on a subscriber: keys of a table whose rows are fetched from the provider before the
//! table goes on.

use tokio_postgres::GenericClient;

use super::position::Position;
use crate::{error::Error, name::TableName};

/// Keys of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairKeys {
    /// The names of the key's columns, in its order; empty: there are no keys.
    pub columns: Vec<String>,
    /// The keys, as events have them.
    pub keys: Vec<String>,
}

/// The keys of a table.
///
/// # Errors
/// [`Error::Unexpected`] if they are not all of the same columns.
pub async fn list(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<RepairKeys, Error> {
    let doing = || Error::database(format!("read the keys of {table} that are to be fetched"));
    let rows = client
        .query(
            "select key_text, columns from trunkline.repair_key \
              where consumer = $1 and schema_name = $2 and table_name = $3",
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .map_err(doing())?;
    let mut found = RepairKeys::default();
    for row in &rows {
        let columns: Vec<String> = row.try_get(1).map_err(doing())?;
        if found.keys.is_empty() {
            found.columns = columns;
        } else if found.columns != columns {
            let text = format!("trunkline.repair_key has keys of several columns for {table}");
            return Err(Error::Unexpected(text));
        }
        found.keys.push(row.try_get(0).map_err(doing())?);
    }
    Ok(found)
}

/// Asks for the rows of keys of a table. The daemon fetches them; it does so with the table's own task, once the table
/// is `ok`.
pub async fn ask(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    asked: &RepairKeys,
) -> Result<(), Error> {
    client
        .execute(
            "insert into trunkline.repair_key (consumer, schema_name, table_name, key_text, columns) \
             select $1, $2, $3, k.text, $5 from unnest($4::text[]) k (text) \
              where not exists (select from trunkline.repair_key r \
                                 where r.consumer = $1 and r.schema_name = $2 and r.table_name = $3 \
                                   and r.key_text = k.text)",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &asked.keys,
                &asked.columns,
            ],
        )
        .await
        .map_err(Error::database(format!("ask for rows of {table}")))?;
    Ok(())
}

/// The tables that are `ok` and of which keys are asked for.
pub async fn asked(client: &impl GenericClient, consumer: &str) -> Result<Vec<TableName>, Error> {
    let doing = || Error::database("read which rows are asked for");
    let rows = client
        .query(
            "select s.schema_name, s.table_name from trunkline.table_state s \
              where s.consumer = $1 and s.state = 'ok' \
                and exists (select from trunkline.repair_key r \
                             where r.consumer = s.consumer and r.schema_name = s.schema_name \
                               and r.table_name = s.table_name)",
            &[&consumer],
        )
        .await
        .map_err(doing())?;
    rows.iter()
        .map(|row| TableName::of(row).map_err(doing()))
        .collect()
}

/// Takes a table that is `ok` out of the batch loop, at the loop's position, to have the rows of its keys fetched.
/// False if the loop is at another position by now, or the table is not `ok` any more. A batch that is being applied
/// cannot commit any more.
///
/// The position's row is locked first: a loop that commits meanwhile would have applied events to the table which the
/// table would then apply again from its place on.
pub async fn take_out(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    at: Position,
) -> Result<bool, Error> {
    let done = client
        .execute(
            "with held as ( \
                 select p.consumer, p.tick_id, p.tick_tag, p.origins from trunkline.position p \
                  where p.consumer = $1 and p.epoch = $4 and p.tick_id = $5 and p.tick_tag = $6 for update), \
             taken as ( \
                 update trunkline.table_state s \
                    set state = 'catching-up', existing = 'keys', tick_id = h.tick_id, tick_tag = h.tick_tag, \
                        origins = h.origins, changed_at = clock_timestamp(), try_now = false \
                   from held h \
                  where s.consumer = h.consumer and s.schema_name = $2 and s.table_name = $3 and s.state = 'ok' \
                 returning s.consumer) \
             update trunkline.position p set tables_version = tables_version + 1 \
               from taken t where p.consumer = t.consumer",
            &[
                &consumer,
                &table.schema,
                &table.name,
                &at.epoch.0,
                &at.tick.id.0,
                &at.tick.tag.0,
            ],
        )
        .await
        .map_err(Error::database(format!("take {table} out for a repair")))?;
    Ok(done == 1)
}

/// Forgets the keys of a table, whose rows are in the client's transaction.
pub async fn forget(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<(), Error> {
    client
        .execute(
            "with forgotten as ( \
                 delete from trunkline.repair_key \
                  where consumer = $1 and schema_name = $2 and table_name = $3) \
             update trunkline.table_state set existing = 'refuse' \
              where consumer = $1 and schema_name = $2 and table_name = $3 and existing = 'keys'",
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .map_err(Error::database(format!("forget the keys of {table}")))?;
    Ok(())
}
