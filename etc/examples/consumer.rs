//! A consumer in Rust over tokio-postgres: every event at least once, in batches, whatever happens to the process.

use std::time::Duration;

use tokio_postgres::{Client, Error};

/// One batch, if there is one: reads it, hands each event over, and says that it is done. False: nothing new.
///
/// A process that dies in between gets the same batch again. To have each event exactly once, write what `handle` makes
/// of it and the batch's number into one transaction of the target (schema pgq_ext keeps such numbers).
pub async fn consume_one(
    client: &Client,
    queue: &str,
    consumer: &str,
    handle: &mut impl FnMut(&str, &str),
) -> Result<bool, Error> {
    // Each of the three calls is a transaction of its own.
    let row = client
        .query_one("select pgq.next_batch($1, $2)", &[&queue, &consumer])
        .await?;
    let Some(batch) = row.try_get::<_, Option<i64>>(0)? else {
        return Ok(false);
    };
    let events = client
        .query(
            "select ev_type, ev_data from pgq.get_batch_events($1)",
            &[&batch],
        )
        .await?;
    for event in &events {
        handle(event.try_get(0)?, event.try_get(1)?);
    }
    client
        .execute("select pgq.finish_batch($1)", &[&batch])
        .await?;
    Ok(true)
}

/// Registers the consumer and consumes for as long as `go_on` says; the ticker's NOTIFY trunkline_tick could wake it
/// sooner than the clock does.
pub async fn consume(
    client: &Client,
    queue: &str,
    consumer: &str,
    handle: &mut impl FnMut(&str, &str),
    go_on: impl Fn() -> bool,
) -> Result<(), Error> {
    client
        .execute("select pgq.register_consumer($1, $2)", &[&queue, &consumer])
        .await?;
    while go_on() {
        if !consume_one(client, queue, consumer, handle).await? {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
