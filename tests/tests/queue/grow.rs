//! A queue that is held grows by event tables up to its limit, loses nothing, and gives the space back.

use std::time::{Duration, Instant};

use tests::Cluster;
use tokio_postgres::Client;

use crate::setup::{assert_chain, consume, event, number, pause, rotate, tick, value, with_queue};

/// The holders of queue `q`, as `kind name`.
pub(crate) async fn holders(client: &Client) -> Vec<String> {
    sql::queue::holder::list(client)
        .await
        .unwrap()
        .into_iter()
        .map(|one| format!("{} {}", one.kind.as_str(), one.name.unwrap_or_default()))
        .collect()
}

/// Runs all that maintenance lists, until it lists no more truncation.
pub(crate) async fn maintain(client: &Client) {
    for operation in sql::queue::maintenance::operations(client, sql::queue::Maker::Trunkline)
        .await
        .unwrap()
    {
        while operation.run(client).await.unwrap() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qu10_a_stopped_consumer_makes_the_queue_grow_to_its_limit_and_gets_every_event_when_it_is_back()
 {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::set(&client, "q", "max_tables", "6")
        .await
        .unwrap();
    for name in ["stopped", "working"] {
        sql::queue::consumer::register(&client, "q", name)
            .await
            .unwrap();
    }
    let mut expected = Vec::new();
    for round in 0..10 {
        for _ in 0..20 {
            expected.push(event(&client, &"x".repeat(500)).await);
        }
        tick(&client).await.unwrap();
        assert_eq!(consume(&client, "working").await.len(), 20, "{round}");
        rotate(&client).await;
    }
    assert_eq!(
        number(&client, "select queue_ntables from pgq.queue").await,
        6
    );
    assert_eq!(holders(&client).await, ["consumer stopped"]);
    let held = sql::queue::holder::list(&client).await.unwrap();
    assert!(
        held[0].held_bytes.unwrap() > 10 * 20 * 500 && !held[0].over_limit,
        "{held:?}"
    );
    assert!(held[0].held_seconds.unwrap() > 0.0);
    let before = sql::queue::list(&client).await.unwrap()[0].bytes;
    let seen = consume(&client, "stopped").await;
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected);
    assert!(seen.values().all(|times| *times == 1));
    assert!(holders(&client).await.is_empty());
    // The space comes back, but for the tables of the last two periods; and the first three tables are used again.
    rotate(&client).await;
    maintain(&client).await;
    event(&client, "y").await;
    tick(&client).await.unwrap();
    rotate(&client).await;
    maintain(&client).await;
    let after = sql::queue::list(&client).await.unwrap()[0].bytes;
    assert!(after < before / 2, "{before} {after}");
    assert!(number(&client, "select queue_cur_table from pgq.queue").await < 3);
    assert_chain(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qu11_a_dumps_locks_neither_stop_writers_nor_make_rotation_wait() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(event(&client, "x").await);
        tick(&client).await.unwrap();
        consume(&client, "c").await;
        rotate(&client).await;
    }
    let dump = cluster.connect("postgres").await;
    dump.batch_execute("set application_name = 'pg_dump'")
        .await
        .unwrap();
    dump.batch_execute(
        "begin isolation level repeatable read; lock table pgq.event_1 in access share mode",
    )
    .await
    .unwrap();
    event(&client, "x").await;
    tick(&client).await.unwrap();
    consume(&client, "c").await;
    pause(1100).await;
    client
        .batch_execute("update pgq.queue set queue_switch_time = now() - interval '1 year'")
        .await
        .unwrap();
    assert_eq!(holders(&client).await, ["lock pg_dump"]);
    let started = Instant::now();
    assert_eq!(rotate(&client).await, 3, "a table was added");
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    let writer = cluster.connect("postgres").await;
    writer
        .batch_execute("set statement_timeout = 20000")
        .await
        .unwrap();
    let late = event(&writer, "x").await;
    dump.batch_execute("commit").await.unwrap();
    tick(&client).await.unwrap();
    assert_eq!(
        consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
        [late]
    );
    // Without the lock it goes round the first three again.
    let mut visited = Vec::new();
    for _ in 0..4 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        consume(&client, "c").await;
        visited.push(rotate(&client).await);
    }
    assert!(visited.iter().all(|table| *table < 3), "{visited:?}");
    assert_eq!(
        number(&client, "select queue_ntables from pgq.queue").await,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transactions_that_hold_a_queue_are_named_with_pid_and_xid() {
    let cluster = Cluster::start();
    cluster.create_db("elsewhere");
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    let open = cluster.connect("elsewhere").await;
    open.batch_execute("set application_name = 'night job'; begin")
        .await
        .unwrap();
    let xid = number(&open, "select txid_current()").await;
    let pid = number(&open, "select pg_backend_pid()").await;
    let other = cluster.connect("postgres").await;
    other
        .batch_execute("begin; create table made (id int); prepare transaction 'left over'")
        .await
        .unwrap();
    for _ in 0..5 {
        event(&client, "x").await;
        tick(&client).await.unwrap();
        consume(&client, "c").await;
        rotate(&client).await;
    }
    let held = sql::queue::holder::list(&client).await.unwrap();
    let names: Vec<_> = held.iter().map(|one| one.name.clone().unwrap()).collect();
    assert_eq!(names, ["night job", "left over"]);
    assert_eq!(
        (held[0].pid, held[0].xid),
        (Some(i32::try_from(pid).unwrap()), Some(xid))
    );
    assert!(
        held[0].detail.as_ref().unwrap().contains("elsewhere"),
        "{held:?}"
    );
    assert!(
        held.iter()
            .all(|one| one.held_bytes.unwrap() > 0 && !one.over_limit)
    );
    open.batch_execute("commit").await.unwrap();
    other
        .batch_execute("commit prepared 'left over'")
        .await
        .unwrap();
    // Nothing runs that old any more; only the tick is from before.
    assert_eq!(holders(&client).await, ["ticker "]);
    event(&client, "x").await;
    tick(&client).await.unwrap();
    consume(&client, "c").await;
    assert!(holders(&client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_capture_and_old_plans_write_into_an_added_table_is_delivered() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    client
        .batch_execute("create table t (id int primary key, v text)")
        .await
        .unwrap();
    client
        .execute(
            "select * from trunkline.add_table('q', 'c', 'public', 't')",
            &[],
        )
        .await
        .unwrap();
    sql::queue::consumer::register(&client, "q", "slow")
        .await
        .unwrap();
    let writer = cluster.connect("postgres").await;
    let mut written = 0;
    for round in 0..6 {
        // One row takes its own way through capture's functions, many take another.
        writer
            .batch_execute(&format!(
                "insert into t values ({round}, 'one'); \
                 insert into t select {round} * 100 + g, 'many' from generate_series(10, 14) g"
            ))
            .await
            .unwrap();
        written += 2;
        tick(&client).await.unwrap();
        rotate(&client).await;
        // Capture looks for the current table once a second.
        pause(1100).await;
    }
    assert!(number(&client, "select queue_ntables from pgq.queue").await > 4);
    let in_added = "select count(*) from pgq.event_1_4 where ev_type = 'trunkline.1.rows'";
    assert!(number(&client, in_added).await > 0);
    let events = "select count(*) from pgq.event_1 where ev_type = 'trunkline.1.rows'";
    assert_eq!(number(&client, events).await, written);
    tick(&client).await;
    let seen = consume(&client, "slow").await;
    // With the table's shape.
    assert_eq!(seen.len() as i64, written + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_captured_tables_is_not_dropped_and_the_error_names_them() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    client
        .batch_execute(
            "create table \"T 1\" (id int primary key); create table t2 (id int primary key)",
        )
        .await
        .unwrap();
    for table in ["T 1", "t2"] {
        client
            .execute(
                "select * from trunkline.add_table('q', 'c', 'public', $1)",
                &[&table],
            )
            .await
            .unwrap();
    }
    for force in [false, true] {
        let error = client
            .execute("select pgq.drop_queue('q', $1)", &[&force])
            .await
            .unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            error.message(),
            "cannot drop queue, tables are captured into it"
        );
        assert_eq!(error.detail(), Some("q: public.\"T 1\", public.t2"));
        assert!(error.hint().unwrap().contains("replay remove --all"));
    }
    client
        .batch_execute("select trunkline.remove_table('q', 'c', 'public', 'T 1'), trunkline.remove_table('q', 'c', 'public', 't2')")
        .await
        .unwrap();
    sql::queue::drop(&client, "q", true).await.unwrap();
    assert_eq!(
        value(&client, "select to_regclass('pgq.event_1')").await,
        None
    );
}
