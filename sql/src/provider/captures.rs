//! What is captured into a queue, and for whom: for the operator who ends what nobody else will.

use tokio_postgres::GenericClient;

use super::{remove_sequence, remove_table};
use crate::name::TableName;

/// A table or sequence that is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name now; of a table that was dropped the last one.
    pub name: TableName,
    /// Its oid.
    pub oid: u32,
    /// Where its events go.
    pub queue: String,
    /// Whether it is a sequence: that makes no events, its value is asked for.
    pub is_sequence: bool,
    /// Who wants it.
    pub consumers: Vec<CapturedFor>,
    /// Why its changes cannot be replicated from here on.
    pub problem: Option<String>,
    /// Whether it is gone, and only its consumers have not left.
    pub dropped: bool,
}

/// A consumer of a captured table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFor {
    /// The consumer's name.
    pub consumer: String,
    /// Whether the queue still has it; else nobody will ever read what is captured for it.
    pub registered: bool,
}

/// What is captured into a queue, or into all of the database. Source: `trunkline.captures`.
pub async fn captures(
    client: &impl GenericClient,
    queue: Option<&str>,
) -> Result<Vec<Capture>, tokio_postgres::Error> {
    let rows = client
        .query(
            "select schema_name, object_name, object_oid, queue_name, kind = 'sequence', consumers, registered, \
             problem, dropped from trunkline.captures($1)",
            &[&queue],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let consumers: Vec<String> = row.try_get(5)?;
            let registered: Vec<bool> = row.try_get(6)?;
            let consumers = consumers.into_iter().zip(registered);
            Ok(Capture {
                name: TableName::of(row)?,
                oid: row.try_get(2)?,
                queue: row.try_get(3)?,
                is_sequence: row.try_get(4)?,
                consumers: consumers
                    .map(|(consumer, registered)| CapturedFor {
                        consumer,
                        registered,
                    })
                    .collect(),
                problem: row.try_get(7)?,
                dropped: row.try_get(8)?,
            })
        })
        .collect()
}

/// Ends capture for a consumer, under the session's `lock_timeout`; false: it was ended already.
pub async fn end_capture(
    client: &impl GenericClient,
    capture: &Capture,
    consumer: &str,
) -> Result<bool, tokio_postgres::Error> {
    let (queue, name) = (capture.queue.as_str(), &capture.name);
    if capture.is_sequence {
        remove_sequence(client, queue, consumer, name).await
    } else {
        remove_table(client, queue, consumer, name, Some(capture.oid)).await
    }
}
