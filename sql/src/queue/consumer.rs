//! Consumers of a queue: registering, moving, and how they stand. Touches pgq.subscription through functions only.

use tokio_postgres::GenericClient;

use super::tick::TickId;
use crate::error::{Error, column};

/// Registers a consumer at the queue's last tick; false: the consumer was there and keeps its position.
/// Source: `pgq.register_consumer`.
pub async fn register(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<bool, Error> {
    registered(client, queue, consumer, None).await
}

/// Registers a consumer at a tick, or moves the consumer to the tick; true: the consumer is new. Fails with SQLSTATE
/// 55000 if events after the tick are gone. Source: `pgq.register_consumer_at`.
pub async fn register_at(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    tick: TickId,
) -> Result<bool, Error> {
    registered(client, queue, consumer, Some(tick.0)).await
}

async fn registered(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    tick: Option<i64>,
) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select pgq.register_consumer_at($1, $2, $3)",
            &[&queue, &consumer, &tick],
        )
        .await
        .map_err(Error::database(format!(
            "register consumer {consumer} at queue {queue}"
        )))?;
    Ok(column::<i32>(&row, 0)? == 1)
}

/// Removes a consumer; false: there was no such consumer. Source: `pgq.unregister_consumer`.
pub async fn unregister(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select pgq.unregister_consumer($1, $2)",
            &[&queue, &consumer],
        )
        .await
        .map_err(Error::database(format!(
            "unregister consumer {consumer} of queue {queue}"
        )))?;
    Ok(column::<i32>(&row, 0)? > 0)
}

/// Tells the queue that a consumer needs no events up to a tick any more; false: the consumer stood there or further
/// on.
/// Source: `trunkline.advance`.
pub async fn advance(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    tick: TickId,
) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select trunkline.advance($1, $2, $3)",
            &[&queue, &consumer, &tick.0],
        )
        .await
        .map_err(Error::database(format!(
            "advance consumer {consumer} of queue {queue} to tick {tick}"
        )))?;
    column(&row, 0)
}

/// The position and the state of a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerInfo {
    /// The consumer's queue.
    pub queue: String,
    /// The consumer's name.
    pub name: String,
    /// The last tick that the consumer finished; None for an idle member of a cooperating consumer.
    pub last_tick: Option<TickId>,
    /// Age of the last tick in seconds, by the server's clock.
    pub lag_seconds: Option<f64>,
    /// Seconds since the consumer last did anything.
    pub last_seen_seconds: f64,
    /// Events numbered between the consumer's last tick and the queue's last tick.
    pub pending_events: Option<i64>,
    /// The batch that the consumer has open.
    pub batch: Option<i64>,
}

/// The database's consumers, in order of queue and name. Source: `pgq.get_consumer_info()`.
pub async fn list(client: &impl GenericClient) -> Result<Vec<ConsumerInfo>, Error> {
    infos(client, None, None).await
}

/// One consumer; None: there is no such consumer. Source: `pgq.get_consumer_info(queue, consumer)`.
pub async fn find(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<Option<ConsumerInfo>, Error> {
    let found = infos(client, Some(queue), Some(consumer)).await?;
    Ok(found.into_iter().next())
}

async fn infos(
    client: &impl GenericClient,
    queue: Option<&str>,
    consumer: Option<&str>,
) -> Result<Vec<ConsumerInfo>, Error> {
    let rows = client
        .query(
            "select queue_name, consumer_name, last_tick, extract(epoch from lag)::float8, \
                    extract(epoch from last_seen)::float8, pending_events, current_batch \
               from pgq.get_consumer_info($1, $2)",
            &[&queue, &consumer],
        )
        .await
        .map_err(Error::database("list the consumers"))?;
    rows.iter()
        .map(|row| {
            Ok(ConsumerInfo {
                queue: column(row, 0)?,
                name: column(row, 1)?,
                last_tick: column::<Option<i64>>(row, 2)?.map(TickId),
                lag_seconds: column(row, 3)?,
                last_seen_seconds: column(row, 4)?,
                pending_events: column(row, 5)?,
                batch: column(row, 6)?,
            })
        })
        .collect()
}
