//! Sequences whose values consumers carry over.

use tokio_postgres::{GenericClient, Row};

use super::changed;
use crate::{error::Error, name::TableName};

/// A sequence of the provider and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceValue {
    /// The sequence's name.
    pub sequence: TableName,
    /// The last value that was given out, or the next value if `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` was given out.
    pub is_called: bool,
    /// The step from one value to the next; negative for a descending sequence.
    pub increment: i64,
}

/// The values of the sequences that a consumer carries over.
pub async fn sequence_values(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<Vec<SequenceValue>, Error> {
    values(client, queue, Some(consumer)).await
}

/// The values of the sequences that any consumer of a queue carries over.
pub async fn all_sequence_values(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Vec<SequenceValue>, Error> {
    values(client, queue, None).await
}

async fn values(
    client: &impl GenericClient,
    queue: &str,
    consumer: Option<&str>,
) -> Result<Vec<SequenceValue>, Error> {
    let rows = client
        .query(
            "select schema_name, sequence_name, last_value, is_called, increment \
             from trunkline.sequence_values($1, $2)",
            &[&queue, &consumer],
        )
        .await
        .map_err(Error::database("read sequences of the provider"))?;
    rows.iter()
        .map(|row| {
            Ok(SequenceValue {
                sequence: TableName::of(row)?,
                last_value: row.try_get(2)?,
                is_called: row.try_get(3)?,
                increment: row.try_get(4)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read sequences of the provider"))
}

/// Sequences that could be carried over.
pub async fn sequence_candidates(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Vec<TableName>, Error> {
    let rows = client
        .query(
            "select schema_name, sequence_name from trunkline.sequence_candidates($1) \
             order by 1, 2",
            &[&queue],
        )
        .await
        .map_err(Error::database("list the provider's sequences"))?;
    rows.iter()
        .map(TableName::of)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("list the provider's sequences"))
}

/// Carries a sequence over for a consumer; false if it was carried over already.
pub async fn add_sequence(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, Error> {
    let call = "select trunkline.add_sequence($1, $2, $3, $4)";
    changed(client, call, queue, consumer, sequence)
        .await
        .map_err(Error::database(format!(
            "add sequence {sequence} on the provider"
        )))
}

/// Ends carrying a sequence over for a consumer; false if it was not carried over.
pub async fn remove_sequence(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, Error> {
    let call = "select trunkline.remove_sequence($1, $2, $3, $4)";
    changed(client, call, queue, consumer, sequence)
        .await
        .map_err(Error::database(format!(
            "remove sequence {sequence} on the provider"
        )))
}

/// The sequences of tables that a consumer does not carry over, each with its table: those that columns own (serial,
/// identity), and those that defaults take values from.
pub async fn sequences_of(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    tables: &[TableName],
) -> Result<Vec<(TableName, TableName)>, Error> {
    let failed = || Error::database("look for the tables' sequences on the provider");
    let schemas: Vec<&str> = tables.iter().map(|one| one.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|one| one.name.as_str()).collect();
    let rows = client
        .query(OF_TABLES, &[&schemas, &names])
        .await
        .map_err(failed())?;
    let carried = sequence_values(client, queue, consumer).await?;
    let mut found = Vec::new();
    for row in &rows {
        let (sequence, table) = with_table(row).map_err(failed())?;
        if !carried.iter().any(|value| value.sequence == sequence) {
            found.push((sequence, table));
        }
    }
    Ok(found)
}

fn with_table(row: &Row) -> Result<(TableName, TableName), tokio_postgres::Error> {
    let table = TableName::new(row.try_get::<_, String>(2)?, row.try_get::<_, String>(3)?);
    Ok((TableName::of(row)?, table))
}

const OF_TABLES: &str = "\
    select distinct sn.nspname::text, sc.relname::text, tn.nspname::text, tc.relname::text \
      from unnest($1::text[], $2::text[]) w (schema_name, table_name) \
      join pg_catalog.pg_namespace tn on tn.nspname = w.schema_name \
      join pg_catalog.pg_class tc on tc.relnamespace = tn.oid and tc.relname = w.table_name \
     cross join lateral ( \
           select d.objid from pg_catalog.pg_depend d \
            where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass \
              and d.refobjid = tc.oid and d.refobjsubid > 0 and d.deptype in ('a', 'i') \
           union \
           select d.refobjid from pg_catalog.pg_attrdef a \
             join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::regclass and d.objid = a.oid \
              and d.refclassid = 'pg_catalog.pg_class'::regclass \
            where a.adrelid = tc.oid) s (oid) \
      join pg_catalog.pg_class sc on sc.oid = s.oid and sc.relkind = 'S' \
      join pg_catalog.pg_namespace sn on sn.oid = sc.relnamespace \
     order by 1, 2";
