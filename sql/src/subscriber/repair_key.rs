//! Rows of `trunkline.repair_key` on a subscriber: keys of a table whose rows are fetched from the provider before the
//! table goes on.

use tokio_postgres::GenericClient;

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
