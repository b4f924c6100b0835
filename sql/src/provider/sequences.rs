//! Sequences whose values consumers carry over.

use tokio_postgres::GenericClient;

use super::changed;
use crate::name::TableName;

/// A sequence of the provider and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceValue {
    /// Its name.
    pub sequence: TableName,
    /// The last value given out, or the next one if `is_called` is false.
    pub last_value: i64,
    /// Whether `last_value` was given out.
    pub is_called: bool,
    /// From one value to the next; negative where it descends.
    pub increment: i64,
}

/// The values of the sequences that a consumer carries over.
pub async fn sequence_values(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<Vec<SequenceValue>, tokio_postgres::Error> {
    let rows = client
        .query(
            "select schema_name, sequence_name, last_value, is_called, increment \
             from trunkline.sequence_values($1, $2)",
            &[&queue, &consumer],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SequenceValue {
                sequence: TableName::of(row)?,
                last_value: row.try_get(2)?,
                is_called: row.try_get(3)?,
                increment: row.try_get(4)?,
            })
        })
        .collect()
}

/// Sequences that could be carried over.
pub async fn sequence_candidates(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Vec<TableName>, tokio_postgres::Error> {
    let rows = client
        .query(
            "select schema_name, sequence_name from trunkline.sequence_candidates($1) \
             order by 1, 2",
            &[&queue],
        )
        .await?;
    rows.iter().map(TableName::of).collect()
}

/// Carries a sequence over for a consumer; false if it was already.
pub async fn add_sequence(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, tokio_postgres::Error> {
    let call = "select trunkline.add_sequence($1, $2, $3, $4)";
    changed(client, call, queue, consumer, sequence).await
}

/// Ends that; false if it was not carried over.
pub async fn remove_sequence(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, tokio_postgres::Error> {
    let call = "select trunkline.remove_sequence($1, $2, $3, $4)";
    changed(client, call, queue, consumer, sequence).await
}
