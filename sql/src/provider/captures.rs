//! What is captured into a queue, and for which consumers. An operator uses this to end capture whose consumer is gone.

use tokio_postgres::GenericClient;

use super::{remove_sequence, remove_table};
use crate::{error::Error, name::TableName};

/// A table or sequence that is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The present name; for a table that was dropped, its last name.
    pub name: TableName,
    /// The oid of the table or sequence.
    pub oid: u32,
    /// The queue that the events go into.
    pub queue: String,
    /// Whether this is a sequence. A sequence makes no events; its value is asked for.
    pub is_sequence: bool,
    /// The consumers of the table or sequence.
    pub consumers: Vec<CapturedFor>,
    /// Why changes cannot be replicated from here on.
    pub problem: Option<String>,
    /// Whether the table or sequence was dropped, and only its consumers have not left.
    pub dropped: bool,
    /// As what the triggers of a table are made: `statements`, `rows` or `tree`; none for a sequence.
    pub form: Option<String>,
    /// Why that form.
    pub why: Option<String>,
}

impl Capture {
    /// Whether this is a table that is captured for a consumer.
    pub fn is_table_of(&self, consumer: &str) -> bool {
        !self.is_sequence && self.is_of(consumer)
    }

    /// Whether this is captured for a consumer.
    pub fn is_of(&self, consumer: &str) -> bool {
        self.consumers.iter().any(|of| of.consumer == consumer)
    }
}

/// A consumer of a captured table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFor {
    /// The consumer's name.
    pub consumer: String,
    /// Whether the queue still has the consumer; if not, the events that are captured for it will never be read.
    pub registered: bool,
}

/// The captured tables and sequences of a queue, or of the whole database. Source: `trunkline.captures`.
pub async fn captures(
    client: &impl GenericClient,
    queue: Option<&str>,
) -> Result<Vec<Capture>, Error> {
    let rows = client
        .query(
            "select schema_name, object_name, object_oid, queue_name, kind = 'sequence', consumers, registered, \
             problem, dropped, form, why from trunkline.captures($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask what is captured"))?;
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
                form: row.try_get(9)?,
                why: row.try_get(10)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("ask what is captured"))
}

/// Ends capture for a consumer, under the session's `lock_timeout`; false: capture was ended already.
pub async fn end_capture(
    client: &impl GenericClient,
    capture: &Capture,
    consumer: &str,
) -> Result<bool, Error> {
    let (queue, name) = (capture.queue.as_str(), &capture.name);
    if capture.is_sequence {
        remove_sequence(client, queue, consumer, name).await
    } else {
        remove_table(client, queue, consumer, name, Some(capture.oid)).await
    }
}
