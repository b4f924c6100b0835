//! Clocks that jump. The server's clock put forward or back is, to the queue, that all stored times lie further back or
//! in the future; so the tests move those.

use tests::Cluster;
use tokio_postgres::Client;

use crate::setup::{consume, event, number, tick, with_queue};

/// Moves the server's clock by so much, as far as the queue can tell.
async fn clock_jumps(client: &Client, by: &str) {
    client
        .batch_execute(&format!(
            "update pgq.tick set tick_time = tick_time - interval '{by}'; \
             update pgq.queue set queue_switch_time = queue_switch_time - interval '{by}'"
        ))
        .await
        .unwrap();
}

/// A queue with PgQ's thresholds.
async fn slow_queue(cluster: &Cluster) -> Client {
    let client = with_queue(cluster).await;
    for (setting, text) in [("ticker_max_count", "500"), ("ticker_max_lag", "30 s")] {
        sql::queue::set(&client, "q", setting, text).await.unwrap();
    }
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    while tick(&client).await.is_some() {}
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn fa_19_after_a_clock_was_put_back_ticks_and_rotation_go_on_at_once() {
    let cluster = Cluster::start();
    let client = slow_queue(&cluster).await;
    for by in ["-1 hour", "-50 s", "-1 day"] {
        let id = event(&client, "x").await;
        clock_jumps(&client, by).await;
        assert!(tick(&client).await.is_some(), "{by}");
        assert_eq!(
            consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
            [id]
        );
        // Once: then the thresholds hold again.
        event(&client, "x").await;
        assert_eq!(tick(&client).await, None);
        clock_jumps(&client, "31 s").await;
        assert!(tick(&client).await.is_some());
        consume(&client, "c").await;
        let age = "select extract(epoch from ticker_lag)::int from pgq.get_queue_info('q')";
        assert!((0..30).contains(&number(&client, age).await));
    }
    // The last rotation lies in the future now: one is made, not none for a day and not one after the other.
    assert_eq!(rotations(&client).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fa_19_after_a_clock_was_put_forward_one_rotation_is_made_and_nothing_is_lost() {
    let cluster = Cluster::start();
    let client = slow_queue(&cluster).await;
    let id = event(&client, "x").await;
    clock_jumps(&client, "1 day").await;
    assert!(tick(&client).await.is_some());
    assert_eq!(rotations(&client).await, 1);
    assert_eq!(
        consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
        [id]
    );
}

/// How many rotations ten rounds of maintenance make.
async fn rotations(client: &Client) -> i64 {
    let mut made = 0;
    for _ in 0..10 {
        let before = number(client, "select queue_switch_step1 from pgq.queue").await;
        crate::grow::maintain(client).await;
        let after = number(client, "select queue_switch_step1 from pgq.queue").await;
        made += i64::from(before != after);
    }
    made
}
