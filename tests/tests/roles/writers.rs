//! Writers of every isolation beside a fence: each acknowledged transaction is on the subscriber at the final tick,
//! none comes after it, and no writer is a deadlock's victim.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tests::{Replication, ask};
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;

use crate::{SOON, fence, operator, wait_tick};

#[tokio::test]
async fn a_repeatable_read_writer_with_an_older_snapshot_is_refused_or_is_in_the_final_tick() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    let provider = &replication.provider;
    let old = provider.connect("db1").await;
    old.batch_execute("begin isolation level repeatable read; select count(*) from t")
        .await
        .unwrap();
    let serializable = provider.connect("db1").await;
    serializable
        .batch_execute("begin isolation level serializable; select count(*) from t")
        .await
        .unwrap();
    let written = provider.connect("db1").await;
    written
        .batch_execute("begin isolation level repeatable read; insert into t values (1)")
        .await
        .unwrap();
    // Who has written is waited for.
    let waiting = operator.clone();
    let fenced = tokio::task::spawn_blocking(move || fence(&waiting));
    let locks = provider.connect("db1").await;
    let waits =
        "select count(*) from pg_locks where not granted and mode = 'ShareRowExclusiveLock'";
    let started = Instant::now();
    while ask(&locks, waits).await != "1" {
        assert!(started.elapsed() < SOON, "the fence does not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    written.batch_execute("commit").await.unwrap();
    let tick = fenced.await.unwrap();
    for session in [&old, &serializable] {
        let refused = session.batch_execute("insert into t values (2)").await;
        assert_eq!(
            refused.unwrap_err().code(),
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
        );
    }
    wait_tick(&replication, tick);
    assert_eq!(
        replication.on_subscriber("select string_agg(id::text, ',') from t"),
        "1"
    );
}

/// One writer's acknowledged keys and the errors that were no refusal.
#[derive(Default)]
struct Told {
    acknowledged: BTreeSet<i64>,
    refused: u64,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_transaction_is_at_the_final_tick_and_no_writer_is_a_deadlocks_victim() {
    let tables =
        "create table a (id int8 primary key, w int); create table b (id int8 primary key, w int)";
    let replication = Replication::running(tables);
    let operator = operator(&replication);
    let stop = Arc::new(AtomicBool::new(false));
    let told: Vec<Arc<Mutex<Told>>> = (0..6).map(|_| Arc::default()).collect();
    let writers = told.iter().enumerate().map(|(writer, told)| {
        let (stop, told) = (Arc::clone(&stop), Arc::clone(told));
        let provider = &replication.provider;
        async move {
            let session = provider.connect("db1").await;
            // New sessions are read-only after a fence; these are as old ones are.
            session.batch_execute("set default_transaction_read_only = off").await.unwrap();
            let isolation = ["read committed", "repeatable read", "serializable"][writer % 3];
            let (first, second) = if writer % 2 == 0 { ("a", "b") } else { ("b", "a") };
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let key = writer as i64 * 1_000_000 + number;
                let begin = format!("begin isolation level {isolation}; select count(*) from {second} where id = -1");
                session.batch_execute(&begin).await.unwrap();
                tokio::task::yield_now().await;
                let write = format!(
                    "insert into {first} values ({key}, 1); savepoint s; insert into {second} values ({key}, 1); commit"
                );
                let written = session.batch_execute(&write).await;
                let mut told = told.lock().await;
                match written {
                    Ok(()) => {
                        told.acknowledged.insert(key);
                    }
                    Err(error) => {
                        match error.code() {
                            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => told.refused += 1,
                            Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {}
                            _ => told.wrong.push(format!("{error:?}")),
                        }
                        drop(told);
                        session.batch_execute("rollback").await.unwrap();
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }
    });
    let rounds = async {
        for round in 0..4 {
            let fencing = operator.clone();
            let tick = tokio::task::spawn_blocking(move || fence(&fencing))
                .await
                .unwrap();
            // What a writer has that was refused after the fence is all that it will have until the fence is taken
            // away.
            let mut expected = BTreeSet::new();
            for told in &told {
                let before = told.lock().await.refused;
                while told.lock().await.refused <= before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                expected.extend(told.lock().await.acknowledged.iter().copied());
            }
            let sum = |cluster: &tests::Cluster, table: &str| {
                cluster.psql("db1", &format!("select count(*), sum(id) from {table}"))
            };
            let want = format!("{}|{}", expected.len(), expected.iter().sum::<i64>());
            tokio::task::block_in_place(|| wait_tick(&replication, tick));
            for table in ["a", "b"] {
                assert_eq!(
                    sum(&replication.provider, table),
                    want,
                    "round {round}, provider"
                );
                assert_eq!(
                    sum(&replication.subscribers[0], table),
                    want,
                    "round {round}, subscriber"
                );
            }
            assert!(!expected.is_empty());
            let opening = operator.clone();
            tokio::task::spawn_blocking(move || opening.run(&["unfence", "q1"]).ok())
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(writers), rounds);
    for told in &told {
        let told = told.lock().await;
        assert!(told.wrong.is_empty(), "{:?}", told.wrong);
    }
    replication.assert_followed(&[]);
}
