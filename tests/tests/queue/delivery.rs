//! What writers commit is what consumers get: no event lost, none twice, whatever goes on beside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::{Cluster, Server, full};
use tokio_postgres::Client;

use crate::setup::{assert_chain, consume, event, number, pause, rotate, tick, with_queue};

/// Transactions of random events, savepoints and ends; the data of those committed.
async fn write(client: Client, seed: u64, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut committed = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let level = ["read committed", "repeatable read"][random.random_range(0..2)];
        client
            .batch_execute(&format!("begin isolation level {level}"))
            .await
            .unwrap();
        // What stands at each open savepoint, the transaction's own first.
        let mut layers: Vec<Vec<String>> = vec![Vec::new()];
        for _ in 0..random.random_range(1..8) {
            match random.random_range(0..6) {
                0 => {
                    client.batch_execute("savepoint s").await.unwrap();
                    layers.push(Vec::new());
                }
                1 if layers.len() > 1 => {
                    client
                        .batch_execute("rollback to savepoint s; release savepoint s")
                        .await
                        .unwrap();
                    layers.pop();
                }
                2 if layers.len() > 1 => {
                    client.batch_execute("release savepoint s").await.unwrap();
                    let inner = layers.pop().unwrap();
                    layers.last_mut().unwrap().extend(inner);
                }
                3 => pause(random.random_range(0..10)).await,
                _ => {
                    number += 1;
                    let data = format!("{seed}/{number}");
                    event(&client, &data).await;
                    layers.last_mut().unwrap().push(data);
                }
            }
        }
        if random.random_range(0..4) == 0 {
            client.batch_execute("rollback").await.unwrap();
        } else {
            client.batch_execute("commit").await.unwrap();
            committed.extend(layers.into_iter().flatten());
        }
    }
    committed
}

/// Reads the consumer's batches up to now; how often each event came, by its data.
async fn witness(client: &Client, seen: &mut BTreeMap<String, usize>) {
    loop {
        let row = client
            .query_one("select pgq.next_batch('q', 'witness')", &[])
            .await
            .unwrap();
        let Some(batch) = row.get::<_, Option<i64>>(0) else {
            return;
        };
        for row in client
            .query("select ev_data from pgq.get_batch_events($1)", &[&batch])
            .await
            .unwrap()
        {
            *seen.entry(row.get(0)).or_default() += 1;
        }
        client
            .execute("select pgq.finish_batch($1)", &[&batch])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qu01_what_eight_writers_commit_with_savepoints_and_rollbacks_is_what_a_witness_gets() {
    let seconds = if full() { 30 } else { 2 };
    let seed = rand::random::<u32>();
    println!("seed {seed}");
    for major in [10, 15, 18] {
        let cluster = Cluster::builder(&Server::version(major)).start();
        let client = with_queue(&cluster).await;
        sql::queue::consumer::register(&client, "q", "witness")
            .await
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..8 {
            let session = cluster.connect("postgres").await;
            writers.push(tokio::spawn(write(
                session,
                u64::from(seed) * 8 + writer,
                stop.clone(),
            )));
        }
        let mut seen = BTreeMap::new();
        let started = Instant::now();
        // Until there is enough of them, however slow the machine is.
        while started.elapsed() < Duration::from_secs(seconds)
            || (seen.len() < 100 && started.elapsed() < Duration::from_secs(120))
        {
            tick(&client).await;
            rotate(&client).await;
            witness(&client, &mut seen).await;
            pause(50).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut committed: BTreeMap<String, usize> = BTreeMap::new();
        for writer in writers {
            for data in writer.await.unwrap() {
                *committed.entry(data).or_default() += 1;
            }
        }
        while tick(&client).await.is_some() {}
        witness(&client, &mut seen).await;
        println!("PostgreSQL {major}: {} events", committed.len());
        assert!(committed.len() > 50, "{}", committed.len());
        assert_eq!(seen, committed, "PostgreSQL {major}, seed {seed}");
        assert_chain(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qu12_writers_feel_neither_vacuum_nor_analyze_nor_the_drop_of_a_queue_as_a_deadlock() {
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let session = cluster.connect("postgres").await;
        let stop = stop.clone();
        writers.push(tokio::spawn(async move {
            let mut errors = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let both = "begin; select pgq.insert_event('q', 't', 'x'); \
                            select pgq.insert_event('gone', 't', 'x'); commit";
                if let Err(error) = session.batch_execute(both).await {
                    errors.push(error.code().unwrap().code().to_owned());
                    session.batch_execute("rollback").await.unwrap();
                }
            }
            errors
        }));
    }
    let keeper = cluster.connect("postgres").await;
    for _ in 0..10 {
        sql::queue::create(&client, "gone").await.unwrap();
        sql::queue::consumer::register(&client, "gone", "c")
            .await
            .unwrap();
        pause(20).await;
        let prefix = crate::setup::value(
            &client,
            "select queue_data_pfx from pgq.queue where queue_name = 'gone'",
        )
        .await
        .unwrap();
        keeper
            .batch_execute(&format!("vacuum analyze {prefix}_0"))
            .await
            .unwrap();
        keeper
            .batch_execute("vacuum analyze pgq.event_1_0")
            .await
            .unwrap();
        tick(&client).await;
        client
            .batch_execute("update pgq.queue set queue_switch_time = now() - interval '1 year'")
            .await
            .unwrap();
        crate::grow::maintain(&client).await;
        sql::queue::drop(&client, "gone", true).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        // No such queue, or its table or sequence is gone by now; nothing else.
        for code in writer.await.unwrap() {
            assert!(
                ["42704", "42P01", "XX000"].contains(&code.as_str()),
                "{code}"
            );
        }
    }
    assert!(!cluster.log().contains("deadlock"), "{}", cluster.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn qu13_what_came_while_no_ticker_ran_is_one_batch_that_a_cursor_reads_in_parts() {
    let count: i64 = if full() { 1_000_000 } else { 18_000 };
    let cluster = Cluster::start();
    let client = with_queue(&cluster).await;
    sql::queue::consumer::register(&client, "q", "c")
        .await
        .unwrap();
    tick(&client).await;
    consume(&client, "c").await;
    sql::queue::set(&client, "q", "ticker_paused", "true")
        .await
        .unwrap();
    for part in 0..6 {
        client
            .batch_execute(&format!(
                "select count(pgq.insert_event('q', 't', g::text)) from generate_series({part} * {0} + 1, ({part} + 1) * {0}) g",
                count / 6
            ))
            .await
            .unwrap();
        assert!(client.execute("select pgq.ticker('q')", &[]).await.is_err());
        rotate(&client).await;
    }
    sql::queue::set(&client, "q", "ticker_paused", "false")
        .await
        .unwrap();
    tick(&client).await.unwrap();
    let batch = number(&client, "pgq.next_batch('q', 'c')").await;
    client.batch_execute("begin").await.unwrap();
    let mut seen: Vec<i64> = Vec::new();
    let mut read = format!("select * from pgq.get_batch_cursor({batch}, 'walker', 300)");
    loop {
        let rows = client.query(read.as_str(), &[]).await.unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.len() <= 10_000);
        let data = rows.iter().map(|row| row.get::<_, String>("ev_data"));
        seen.extend(data.map(|data| data.parse::<i64>().unwrap()));
        "fetch 10000 from walker".clone_into(&mut read);
    }
    client.batch_execute("commit").await.unwrap();
    assert_eq!(seen, (1..=count).collect::<Vec<_>>());
    number(&client, &format!("pgq.finish_batch({batch})")).await;
    assert!(consume(&client, "c").await.is_empty());
}
