//! What tests of the queue start from: a database with the queue installed, and what they all ask of it.

use std::collections::BTreeMap;
use std::time::Duration;

use sql::install::{Component, Report, install};
use tests::Cluster;
use tokio_postgres::Client;

/// What a provider gets.
pub(crate) const PROVIDER: [Component; 2] = [Component::Pgq, Component::Provider];

/// Installs the provider's components.
pub(crate) async fn install_provider(client: &mut Client) -> Report {
    install(client, &PROVIDER).await.unwrap()
}

/// A session to a database with the queue installed and queue `q`, which ticks at once, in it.
pub(crate) async fn with_queue(cluster: &Cluster) -> Client {
    let mut client = cluster.connect("postgres").await;
    install_provider(&mut client).await;
    assert!(sql::queue::create(&client, "q").await.unwrap());
    client
}

/// One value, as text; None for null.
pub(crate) async fn value(client: &Client, query: &str) -> Option<String> {
    let statement = format!("select ({query})::text");
    let row = client.query_one(&statement, &[]).await;
    row.unwrap_or_else(|error| panic!("{query}: {error:?}"))
        .get(0)
}

/// One number.
pub(crate) async fn number(client: &Client, query: &str) -> i64 {
    let text = value(client, query).await;
    text.unwrap_or_else(|| panic!("null: {query}"))
        .parse()
        .unwrap()
}

/// A tick, if the queue is due for one.
pub(crate) async fn tick(client: &Client) -> Option<i64> {
    let text = value(client, "pgq.ticker('q')").await?;
    Some(text.parse().unwrap())
}

/// An event; its number.
pub(crate) async fn event(client: &Client, data: &str) -> i64 {
    let row = client
        .query_one("select pgq.insert_event('q', 't', $1)", &[&data])
        .await
        .unwrap();
    row.get(0)
}

/// Reads and finishes the batches of a consumer up to the last tick of now; how often each event came, by number.
pub(crate) async fn consume(client: &Client, consumer: &str) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    let ticks = number(client, "select count(*) from pgq.tick").await;
    for _ in 0..ticks {
        let row = client
            .query_one("select pgq.next_batch('q', $1)", &[&consumer])
            .await
            .unwrap();
        let Some(batch) = row.get::<_, Option<i64>>(0) else {
            return seen;
        };
        let events = client
            .query("select ev_id from pgq.get_batch_events($1)", &[&batch])
            .await
            .unwrap();
        for row in events {
            *seen.entry(row.get(0)).or_default() += 1;
        }
        client
            .execute("select pgq.finish_batch($1)", &[&batch])
            .await
            .unwrap();
    }
    seen
}

/// Whether each tick's snapshot contains the one before.
pub(crate) async fn assert_chain(client: &Client) {
    let broken = "select count(*) from (select tick_id, tick_snapshot, tick_event_seq, \
                  lag(tick_snapshot) over w as before, lag(tick_event_seq) over w as seq_before \
                  from pgq.tick window w as (partition by tick_queue order by tick_id)) t \
                  where not pgq.snapshot_contains(tick_snapshot, before) or tick_event_seq < seq_before";
    assert_eq!(number(client, broken).await, 0, "the ticks are no chain");
}

/// Makes the queue's rotation due, and does it.
pub(crate) async fn rotate(client: &Client) -> i64 {
    client
        .batch_execute("update pgq.queue set queue_switch_time = now() - interval '1 year'")
        .await
        .unwrap();
    number(client, "pgq.maint_rotate_tables_step1('q')").await;
    number(client, "pgq.maint_rotate_tables_step2()").await;
    number(client, "select queue_cur_table from pgq.queue").await
}

/// A short pause, where a test wants sessions to overlap.
pub(crate) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
