//! A snapshot that is held for long does not make ticks and batches slower.

use tests::{Cluster, choose};
use tokio_postgres::Client;

use crate::setup::{event, number, rotate, tick, with_queue};

/// Pages that a statement looks at, its functions included.
async fn pages(client: &Client, statement: &str) -> i64 {
    let text = tests::ask(
        client,
        &format!("explain (analyze, buffers, format json) {statement}"),
    )
    .await;
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

/// Pages of each of the calls of one batch.
async fn round(client: &Client) -> Vec<i64> {
    event(client, "x").await;
    let mut found = vec![
        pages(client, "select pgq.ticker('q')").await,
        pages(client, "select pgq.queues_to_tick()").await,
        pages(client, "select pgq.next_batch('q', 'c')").await,
    ];
    let batch = number(client, "select sub_batch from pgq.subscription").await;
    found.push(pages(client, &format!("select pgq.get_batch_events({batch})")).await);
    found.push(pages(client, &format!("select pgq.finish_batch({batch})")).await);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_held_snapshot_a_batch_looks_at_no_more_pages_after_thousands_of_them() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    round(&client).await;
    let before = round(&client).await;
    let holder = cluster.connect("postgres").await;
    holder
        .batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    let turn = "select pgq.insert_event('q', 't', 'x'); select pgq.ticker('q'); \
                select pgq.finish_batch(pgq.next_batch('q', 'c'))";
    let turns = choose("rounds", vec![20_000], vec![1_000])[0];
    for one in 0..turns {
        // Three transactions, as a writer, a ticker and a consumer are; and ticks are reclaimed now and then.
        for statement in turn.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
        if one % 250 == 249 {
            rotate(&client).await;
            number(&client, "pgq.maint_reclaim_ticks('q')").await;
        }
    }
    assert!(number(&client, "select count(*) from pgq.tick").await < 600);
    let after = round(&client).await;
    println!(
        "pages of ticker, queues_to_tick, next_batch, get_batch_events, finish_batch: {before:?}, after {turns} batches {after:?}"
    );
    let dead = number(
        &client,
        "select pg_relation_size('pgq.subscription') / 8192",
    )
    .await;
    assert!(dead > 8, "nothing was held: {dead} pages");
    for (before, after) in before.iter().zip(&after) {
        assert!(*after <= before * 2 + 40, "{before} pages became {after}");
    }
    // Whatever looks for the oldest tick does not walk over those that are gone.
    let oldest = pages(
        &client,
        "select trunkline.tick_containing('q', txid_current_snapshot())",
    )
    .await;
    assert!(oldest < 100, "{oldest}");
    let listed = pages(&client, "select pgq.maint_operations()").await;
    assert!(listed < dead + 300, "{listed}");
    drop(holder);
    assert!(tick(&client).await.is_none());
}
