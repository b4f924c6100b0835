//! Ticks: a chain under any concurrency, that loses no event, makes none twice, and is made in time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::setup::{assert_chain, consume, event, number, pause, rotate, tick, with_queue};
use tests::{Cluster, Server, choose, full};
use tokio_postgres::Client;

/// Commits single events, some after a while, some taken back; the numbers of those committed.
async fn write_events(client: Client, seed: u64, stop: Arc<AtomicBool>) -> Vec<i64> {
    let mut committed = Vec::new();
    let mut turn = seed;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        client.batch_execute("begin").await.unwrap();
        let mut mine = vec![event(&client, "x").await];
        if turn.is_multiple_of(3) {
            pause(turn % 7).await;
            mine.push(event(&client, "y").await);
        }
        if turn.is_multiple_of(5) {
            client.batch_execute("rollback").await.unwrap();
        } else {
            client.batch_execute("commit").await.unwrap();
            committed.extend(mine);
        }
    }
    committed
}

/// Ticks often; in REPEATABLE READ with a snapshot that has become old.
async fn tick_often(client: Client, stale: bool, stop: Arc<AtomicBool>) -> usize {
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        if stale {
            client
                .batch_execute("begin isolation level repeatable read; select 1")
                .await
                .unwrap();
            pause(5).await;
        }
        if tick(&client).await.is_some() {
            made += 1;
        }
        pause(4).await;
        if stale {
            client.batch_execute("commit").await.unwrap();
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn four_tickers_at_once_lose_no_event_and_give_none_twice() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    assert!(
        sql::queue::consumer::register(&client, "q", "c")
            .await
            .unwrap()
    );
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for seed in 0..4 {
        let session = cluster.connect("postgres").await;
        writers.push(tokio::spawn(write_events(session, seed * 11, stop.clone())));
    }
    let mut tickers = Vec::new();
    for stale in [false, false, true, true] {
        let session = cluster.connect("postgres").await;
        tickers.push(tokio::spawn(tick_often(session, stale, stop.clone())));
    }
    let mut maintenance = 0;
    let started = Instant::now();
    let mut seen = std::collections::BTreeMap::new();
    let seconds = if full() { 30 } else { 2 };
    // Until there is enough of all, however slow the machine is.
    let is_enough = async |seen: usize| {
        started.elapsed() > Duration::from_secs(120)
            || started.elapsed() > Duration::from_secs(seconds)
                && seen > 150
                && number(&client, "select max(tick_id) from pgq.tick").await > 100
    };
    while !is_enough(seen.len()).await {
        for (id, times) in consume(&client, "c").await {
            *seen.entry(id).or_insert(0) += times;
        }
        rotate(&client).await;
        maintenance += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let mut committed = BTreeSet::new();
    for writer in writers {
        committed.extend(writer.await.unwrap());
    }
    let mut made = Vec::new();
    for ticker in tickers {
        made.push(ticker.await.unwrap());
    }
    while tick(&client).await.is_some() {}
    for (id, times) in consume(&client, "c").await {
        *seen.entry(id).or_insert(0) += times;
    }
    println!(
        "{} events, ticks {made:?}, {maintenance} rotations",
        committed.len()
    );
    assert!(committed.len() > 100 && made[0] > 10);
    // A stale snapshot makes no tick, however often it tries.
    assert_eq!(&made[2..], [0, 0]);
    assert_eq!(committed, seen.keys().copied().collect());
    assert!(seen.values().all(|times| *times == 1));
    assert_chain(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_does_not_wait_for_the_idle_period() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    let late = cluster.connect("postgres").await;
    late.batch_execute("begin").await.unwrap();
    let late_event = event(&late, "late").await;
    // Alone it is above all that has ended, so that the tick's snapshot does not list it.
    assert!(tick(&client).await.is_some());
    assert_eq!(tick(&client).await, None);
    assert!(consume(&client, "c").await.is_empty());
    late.batch_execute("commit; begin").await.unwrap();
    assert!(tick(&client).await.is_some());
    assert_eq!(
        consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
        [late_event]
    );

    // Then with others around it.
    let late_event = event(&late, "late").await;
    let early_event = event(&client, "early").await;
    assert!(tick(&client).await.is_some());
    assert_eq!(
        consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
        [early_event]
    );

    // While it is open it costs no ticks, and neither do transactions that come and go meanwhile.
    let other = cluster.connect("postgres").await;
    for _ in 0..5 {
        other
            .batch_execute("begin; select txid_current()")
            .await
            .unwrap();
        assert_eq!(tick(&client).await, None);
        other.batch_execute("commit").await.unwrap();
        assert_eq!(tick(&client).await, None);
    }
    late.batch_execute("commit").await.unwrap();
    assert!(tick(&client).await.is_some());
    assert_eq!(
        consume(&client, "c").await.into_keys().collect::<Vec<_>>(),
        [late_event]
    );
    assert_eq!(tick(&client).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_queue_gets_one_tick_each_idle_period() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    event(&client, "x").await;
    assert!(tick(&client).await.is_some());
    assert_eq!(tick(&client).await, None);
    let due = "select count(*) from pgq.queues_to_tick()";
    assert_eq!(number(&client, due).await, 0);
    sql::queue::set(&client, "q", "ticker_idle_period", "0.2 s")
        .await
        .unwrap();
    // Of two calls that follow each other within the period the second makes none. A busy machine may stop between.
    for turn in 1.. {
        pause(220).await;
        let started = Instant::now();
        assert!(tick(&client).await.is_some());
        let again = tick(&client).await;
        if started.elapsed() < Duration::from_millis(200) {
            assert_eq!(again, None);
            break;
        }
        assert!(turn < 100, "never two calls within the period");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pgq_thresholds_keep_their_meaning() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    tick(&client).await;
    sql::queue::set(&client, "q", "ticker_max_count", "3")
        .await
        .unwrap();
    sql::queue::set(&client, "q", "ticker_max_lag", "1 hour")
        .await
        .unwrap();
    tick(&client).await;
    for data in ["a", "b"] {
        event(&client, data).await;
        assert_eq!(tick(&client).await, None);
    }
    event(&client, "c").await;
    assert!(tick(&client).await.is_some());
    sql::queue::set(&client, "q", "ticker_max_lag", "0.1 s")
        .await
        .unwrap();
    event(&client, "d").await;
    pause(120).await;
    assert!(tick(&client).await.is_some());
    for (setting, wrong) in [
        ("ticker_max_count", "0"),
        ("ticker_max_lag", "-1 s"),
        ("rotation_period", "0"),
        ("ticker_paused", "perhaps"),
        ("cur_table", "1"),
    ] {
        let error = sql::queue::set(&client, "q", setting, wrong)
            .await
            .unwrap_err();
        assert!(error.code().is_some(), "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_ticks_take_back_no_event_number() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let writer = cluster.connect("postgres").await;
        tasks.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..200 {
                ids.push(event(&writer, "x").await);
            }
            ids
        }));
    }
    for _ in 0..50 {
        let before = sql::queue::tick::force(&client, "q")
            .await
            .unwrap()
            .unwrap();
        assert!(tick(&client).await.unwrap() > before.0);
    }
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for task in tasks {
        let found = task.await.unwrap();
        count += found.len();
        ids.extend(found);
    }
    assert_eq!(ids.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_ticker_adds_its_ticks_in_order_only() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::set(&client, "q", "external_ticker", "true")
        .await
        .unwrap();
    assert_eq!(number(&client, "pgq.ticker('q', 50, now(), 70)").await, 50);
    assert!(
        client
            .execute("select pgq.ticker('q', 40, now(), 80)", &[])
            .await
            .is_err()
    );
    let error = client
        .execute("select pgq.ticker('q')", &[])
        .await
        .unwrap_err();
    let message = error.as_db_error().unwrap().message();
    assert_eq!(message, "This queue has external tick source.");
    assert_eq!(
        number(&client, "pgq.seq_getval('pgq.event_1_id_seq')").await,
        70
    );
    assert_chain(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_works_on_every_version() {
    let majors = choose("versions", Server::majors().collect(), vec![10, 18]);
    for major in majors {
        let cluster = Cluster::builder(&Server::version(major)).start();
        let client = with_queue(&cluster).await;
        sql::queue::consumer::register(&client, "q", "c")
            .await
            .unwrap();
        let mut expected = Vec::new();
        for round in 0..8 {
            expected.push(event(&client, "x").await);
            assert!(tick(&client).await.is_some(), "{major} {round}");
            if round % 3 == 2 {
                rotate(&client).await;
            }
        }
        let seen = consume(&client, "c").await;
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected, "{major}");
        assert_chain(&client).await;
        let queues = sql::queue::list(&client).await.unwrap();
        assert_eq!(queues[0].consumers, 1);
        assert_eq!(
            sql::queue::consumer::list(&client).await.unwrap()[0].name,
            "c"
        );
        sql::queue::drop(&client, "q", true).await.unwrap();
        assert_eq!(number(&client, "select count(*) from pgq.tick").await, 0);
    }
}
