//! Rotation: space comes back, and no event is lost to it.

use std::time::Instant;

use crate::setup::{consume, event, number, pause, rotate, tick, value, with_queue};
use sql::queue::tick::TickId;
use tests::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeatable_read_writer_older_than_two_rotations_is_delivered_once() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    let old = cluster.connect("postgres").await;
    // Its snapshot, and with it the current table that it sees, is from before the rotations.
    old.batch_execute("begin isolation level repeatable read; select * from pgq.queue")
        .await
        .unwrap();
    for _ in 0..2 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        assert_eq!(consume(&client, "c").await.len(), 1);
        rotate(&client).await;
    }
    assert_eq!(
        number(&client, "select queue_cur_table from pgq.queue").await,
        2
    );
    let late = event(&old, "late").await;
    let in_first = "select count(*) from pgq.event_1_0";
    assert_eq!(number(&client, in_first).await, 1);
    // It holds its table while it is open, and the queue waits for it no longer than the lock's time limit.
    let started = Instant::now();
    assert_eq!(rotate(&client).await, 2);
    assert!(
        started.elapsed().as_millis() < 20_000,
        "{:?}",
        started.elapsed()
    );
    old.batch_execute("commit").await.unwrap();
    // Committed and in no tick yet: other tables are taken, this one stays.
    for _ in 0..4 {
        rotate(&client).await;
    }
    assert_eq!(number(&client, in_first).await, 2);
    tick(&client).await.unwrap();
    for _ in 0..4 {
        rotate(&client).await;
    }
    assert_eq!(number(&client, in_first).await, 2);
    let seen = consume(&client, "c").await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(late, 1)]);
    // Then it comes back, as the others do.
    for _ in 0..4 {
        event(&client, "y").await;
        tick(&client).await.unwrap();
        consume(&client, "c").await;
        rotate(&client).await;
    }
    let held = format!("select count(*) from pgq.event_1_0 where ev_id <= {late}");
    assert_eq!(number(&client, &held).await, 0);
    assert_eq!(
        number(&client, "select queue_ntables from pgq.queue").await,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_behind_stops_the_truncation_and_nothing_else() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::set(&client, "q", "max_tables", "3")
        .await
        .unwrap();
    sql::queue::consumer::register(&client, "q", "slow")
        .await
        .unwrap();
    sql::queue::consumer::register(&client, "q", "fast")
        .await
        .unwrap();
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(event(&client, "x").await);
        tick(&client).await.unwrap();
        consume(&client, "fast").await;
        rotate(&client).await;
    }
    // Two rotations found empty tables; then the first table, which the slow one needs, was next.
    assert_eq!(
        number(&client, "select queue_cur_table from pgq.queue").await,
        2
    );
    let seen = consume(&client, "slow").await;
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(rotate(&client).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_at_or_below_what_was_truncated_is_refused() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    for _ in 0..3 {
        event(&client, "y").await;
        tick(&client).await.unwrap();
        consume(&client, "c").await;
        rotate(&client).await;
    }
    assert!(number(&client, "select queue_truncated_txid from pgq.queue").await > 0);
    let mut refused = 0;
    for position in 1..=number(&client, "select max(tick_id) from pgq.tick").await {
        let truncated = number(
            &client,
            &format!(
                "select count(*) from pgq.tick t, pgq.queue q where tick_id = {position} \
                 and txid_snapshot_xmin(tick_snapshot) > queue_truncated_txid"
            ),
        )
        .await
            == 0;
        let name = format!("at{position}");
        let result = sql::queue::consumer::register_at(&client, "q", &name, TickId(position)).await;
        assert_eq!(result.is_err(), truncated, "tick {position}");
        refused += usize::from(truncated);
        // Moving is the same.
        let moved = sql::queue::consumer::register_at(&client, "q", "c", TickId(position)).await;
        assert_eq!(moved.is_err(), truncated, "tick {position}");
    }
    assert!(refused > 0);

    // A tick that is still there, but whose events are not.
    let last = number(&client, "select max(tick_id) from pgq.tick").await;
    client
        .batch_execute(
            "update pgq.queue set queue_truncated_txid = (select max(txid_snapshot_xmin(tick_snapshot)) from pgq.tick)",
        )
        .await
        .unwrap();
    for name in ["new", "c"] {
        let error = sql::queue::consumer::register_at(&client, "q", name, TickId(last))
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "55000", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_truncated_in_a_transaction_that_cannot_see_it_all() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    for level in ["repeatable read", "serializable"] {
        client
            .batch_execute(&format!("begin isolation level {level}"))
            .await
            .unwrap();
        let error = client
            .execute("select pgq.maint_rotate_tables_step1('q')", &[])
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "25001");
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_wins_against_readers_that_follow_each_other() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    for _ in 0..3 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        rotate(&client).await;
    }
    event(&client, "x").await;
    tick(&client).await.unwrap();
    let before = number(&client, "select queue_cur_table from pgq.queue").await;
    let mut readers = Vec::new();
    for offset in 0..3 {
        let reader = cluster.connect("postgres").await;
        readers.push(tokio::spawn(async move {
            pause(offset * 15).await;
            loop {
                let read = "begin; select count(*) from pgq.event_1; select pg_sleep(0.04); commit";
                if reader.batch_execute(read).await.is_err() {
                    return;
                }
            }
        }));
    }
    pause(100).await;
    let mut tries = 1;
    while rotate(&client).await == before {
        tries += 1;
        assert!(tries < 60);
    }
    println!("rotated at try {tries}");
    for reader in readers {
        reader.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_nobody_can_need_are_reclaimed() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    for _ in 0..3 {
        for _ in 0..20 {
            event(&client, "x").await;
            tick(&client).await.unwrap();
        }
        consume(&client, "c").await;
        rotate(&client).await;
    }
    for _ in 0..2 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
    }
    // The consumer is two ticks behind, and its tick stays.
    rotate(&client).await;
    let left = number(&client, "select count(*) from pgq.tick").await;
    assert!(left < 30, "{left} ticks left");
    assert_eq!(consume(&client, "c").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_under_one_name_get_one_batch() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    for round in 0..20 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        let (one, two) = (
            cluster.connect("postgres").await,
            cluster.connect("postgres").await,
        );
        let next = "select pgq.next_batch('q', 'c')";
        let (one, two) = tokio::join!(one.query_one(next, &[]), two.query_one(next, &[]));
        let (one, two): (i64, i64) = (one.unwrap().get(0), two.unwrap().get(0));
        assert_eq!(one, two, "{round}");
        assert_eq!(
            number(&client, &format!("pgq.finish_batch({one})")).await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_event_comes_back_once_to_the_one_that_asked() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    for consumer in ["c", "d"] {
        sql::queue::consumer::register(&client, "q", consumer)
            .await
            .unwrap();
    }
    let wanted = event(&client, "again").await;
    event(&client, "once").await;
    tick(&client).await.unwrap();
    let batch = number(&client, "pgq.next_batch('q', 'c')").await;
    let retry = format!("pgq.event_retry({batch}, {wanted}, 0)");
    assert_eq!(number(&client, &retry).await, 1);
    assert_eq!(number(&client, &retry).await, 0);
    number(&client, &format!("pgq.finish_batch({batch})")).await;
    assert_eq!(consume(&client, "d").await.len(), 2);
    assert_eq!(
        sql::queue::maintenance::retry_events(&client)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        sql::queue::maintenance::retry_events(&client)
            .await
            .unwrap(),
        0
    );
    tick(&client).await.unwrap();
    let seen = consume(&client, "c").await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(wanted, 1)]);
    assert!(consume(&client, "d").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_capture_can_neither_be_forged_nor_retried() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    for call in [
        "pgq.insert_event('q', 'trunkline.1.rows', 'x')",
        "pgq.insert_event('q', 'trunkline.', 'x', null, null, null, null)",
        "pgq.insert_event_raw('q', null, now(), null, null, 'trunkline.1.shape', 'x', null, null, null, null)",
    ] {
        let error = client
            .execute(&format!("select {call}"), &[])
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reads_from_any_tick_in_bounded_steps() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    for _ in 0..30 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
    }
    let last = number(&client, "select max(tick_id) from pgq.tick").await;
    let (mut position, mut ids, mut steps) = (1, Vec::new(), 0);
    while position < last {
        let row = client
            .query_one(
                "select * from trunkline.next_batch('q', $1, 7, $2, $3)",
                &[
                    &position,
                    &Some("ev_type = 't'"),
                    &(last - 1).max(position + 1),
                ],
            )
            .await
            .unwrap();
        let (from_tag, to): (Option<i64>, Option<i64>) = (row.get("from_tag"), row.get("to_tick"));
        assert!(from_tag.is_some());
        let to = to.unwrap();
        assert!(to > position && to - position <= 7);
        let sql: String = row.get("events_sql");
        for row in client.query(&sql, &[]).await.unwrap() {
            ids.push(row.get::<_, i64>("ev_id"));
        }
        position = to;
        steps += 1;
    }
    assert_eq!(ids, (1..=30).collect::<Vec<i64>>());
    assert!(steps <= 6, "{steps}");
    let row = client
        .query_one("select * from trunkline.next_batch('q', $1, 7)", &[&last])
        .await
        .unwrap();
    assert_eq!(row.get::<_, Option<i64>>("to_tick"), None);

    let middle = number(
        &client,
        "trunkline.tick_containing('q', (select tick_snapshot from pgq.tick where tick_id = 17))",
    )
    .await;
    assert_eq!(middle, 17);
    client
        .batch_execute("begin; select txid_current()")
        .await
        .unwrap();
    assert_eq!(
        value(
            &cluster.connect("postgres").await,
            "trunkline.tick_containing('q', '1:999999:1')"
        )
        .await,
        None
    );
    client.batch_execute("rollback").await.unwrap();
    assert!(
        sql::queue::consumer::advance(&client, "q", "c", TickId(20))
            .await
            .unwrap()
    );
    assert!(
        !sql::queue::consumer::advance(&client, "q", "c", TickId(10))
            .await
            .unwrap()
    );
    assert_eq!(
        number(&client, "select sub_last_tick from pgq.subscription").await,
        20
    );
    assert!(
        sql::queue::consumer::advance(&client, "q", "c", TickId(last + 9))
            .await
            .is_err()
    );
}
