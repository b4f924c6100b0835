//! Transactions of every kind: each one's events are delivered once, all in one batch, as soon as it has ended.

use tests::{Cluster, Stop};
use tokio_postgres::Client;

use crate::setup::{assert_chain, consume, event, number, rotate, tick, with_queue};

async fn ready(cluster: &Cluster) -> Client {
    let client = with_queue(cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    client
}

/// The events of the batches up to now, in order.
async fn delivered(client: &Client) -> Vec<i64> {
    let seen = consume(client, "c").await;
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    seen.into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tx04_a_commit_after_a_younger_one_comes_with_the_next_tick() {
    let cluster = Cluster::start();
    let client = ready(&cluster).await;
    let first = cluster.connect("postgres").await;
    first.batch_execute("begin").await.unwrap();
    let early = event(&first, "first").await;
    let late = event(&client, "second").await;
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [late]);
    first.batch_execute("commit").await.unwrap();
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [early]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tx05_a_transaction_open_across_rotations_is_delivered_once_and_delays_nobody() {
    let cluster = Cluster::start();
    let client = ready(&cluster).await;
    let long = cluster.connect("postgres").await;
    long.batch_execute("begin").await.unwrap();
    let wanted = event(&long, "long").await;
    for _ in 0..8 {
        let others = [event(&client, "x").await, event(&client, "y").await];
        tick(&client).await.unwrap();
        assert_eq!(delivered(&client).await, others);
        rotate(&client).await;
    }
    // It cannot be told what it has written where, so nothing is emptied: the queue grows by tables, not by one.
    assert!(number(&client, "select queue_ntables from pgq.queue").await > 6);
    long.batch_execute("commit").await.unwrap();
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [wanted]);
    assert_chain(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tx08_tx09_prepared_transactions_are_in_no_batch_before_and_in_one_after_their_commit() {
    let cluster = Cluster::start();
    let client = ready(&cluster).await;
    let mut kept = Vec::new();
    for (name, count) in [("kept", 5), ("taken back", 3)] {
        client.batch_execute("begin").await.unwrap();
        for _ in 0..count {
            let id = event(&client, name).await;
            if name == "kept" {
                kept.push(id);
            }
        }
        client
            .batch_execute(&format!("prepare transaction '{name}'"))
            .await
            .unwrap();
    }
    let between = event(&client, "between").await;
    for round in 0..4 {
        tick(&client).await;
        let seen = delivered(&client).await;
        assert_eq!(seen, if round == 0 { vec![between] } else { vec![] });
        rotate(&client).await;
    }
    let other = cluster.connect("postgres").await;
    other
        .batch_execute("rollback prepared 'taken back'")
        .await
        .unwrap();
    tick(&client).await;
    assert!(delivered(&client).await.is_empty());
    other.batch_execute("commit prepared 'kept'").await.unwrap();
    let ticks = number(&client, "select max(tick_id) from pgq.tick").await;
    assert_eq!(tick(&client).await, Some(ticks + 1), "one tick, at once");
    assert_eq!(delivered(&client).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn tx10_a_prepared_transaction_outlives_a_crash_of_the_server() {
    let cluster = Cluster::builder(&tests::Server::debian15())
        .durable()
        .start();
    let client = ready(&cluster).await;
    client.batch_execute("begin").await.unwrap();
    let prepared = event(&client, "prepared").await;
    client
        .batch_execute("prepare transaction 'p'")
        .await
        .unwrap();
    let before = event(&client, "before").await;
    tick(&client).await.unwrap();
    drop(client);
    cluster.stop(Stop::Immediate);
    cluster.start_again();
    let client = cluster.connect("postgres").await;
    let after = event(&client, "after").await;
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [before, after]);
    client.batch_execute("commit prepared 'p'").await.unwrap();
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [prepared]);
    assert_chain(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tx16_gaps_of_rolled_back_events_are_neither_a_stall_nor_a_phantom() {
    let cluster = Cluster::start();
    let client = ready(&cluster).await;
    for _ in 0..100 {
        client
            .batch_execute(
                "begin; select pgq.insert_event('q', 't', 'gone') from generate_series(1, 10); rollback",
            )
            .await
            .unwrap();
    }
    tick(&client).await.unwrap();
    assert!(delivered(&client).await.is_empty());
    let real = event(&client, "real").await;
    assert!(real > 1000);
    tick(&client).await.unwrap();
    assert_eq!(delivered(&client).await, [real]);
    assert_eq!(tick(&client).await, None);
}
