//! Poolers between a program and its server (F-S6): by transaction refused, whatever the pool is like at the moment,
//! and with nothing of ours left in its sessions; by session as good as none.

use std::sync::atomic::{AtomicBool, Ordering};

use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use tests::{Cluster, Node, Pooler, Replication};

const REFUSED: &str =
    "this connection is pooled by transaction: connect to the server itself, or pool by session";

async fn is_refused(pooler: &Pooler) {
    let info: ConnectInfo = pooler.conninfo("postgres").parse().unwrap();
    let error = info
        .connect(&ApplicationName::new(Purpose::Status, "j"))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains(REFUSED), "{error}");
}

/// What sessions of the pool say, one after the other, of what we would set.
fn traces(cluster: &Cluster, pooler: &Pooler) -> String {
    let mut said = String::new();
    for _ in 0..10 {
        let sql = "select concat_ws(' ', current_setting('search_path'), current_setting('TimeZone') = 'UTC', \
            (select count(*) from pg_listening_channels()), current_setting('extra_float_digits'))";
        said.push_str(&pooler.psql(cluster, "postgres", sql).ok().stdout);
    }
    said
}

#[tokio::test]
async fn s6_a_pool_by_transaction_is_refused_and_nothing_of_ours_is_left_in_it() {
    let cluster = Cluster::start();
    cluster.psql(
        "postgres",
        "alter role postgres set timezone = 'Asia/Kabul'; alter role postgres set search_path = public",
    );
    // With one session, of which the second one has to wait for the first one's end; with several idle ones.
    for size in [1, 5] {
        let pooler = Pooler::start(&cluster, "postgres", "transaction", size);
        let before = traces(&cluster, &pooler);
        is_refused(&pooler).await;
        // Several sessions in the pool.
        std::thread::scope(|scope| {
            for _ in 0..size {
                scope.spawn(|| {
                    pooler
                        .psql(&cluster, "postgres", "select pg_sleep(0.2)")
                        .ok()
                });
            }
        });
        for _ in 0..5 {
            is_refused(&pooler).await;
        }
        assert_eq!(traces(&cluster, &pooler), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_busy_pool_by_transaction_is_refused_each_time() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "postgres", "transaction", 4);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    pooler
                        .psql(&cluster, "postgres", "select pg_sleep(0.01 * random())")
                        .ok();
                }
            });
        }
        let runtime = tokio::runtime::Handle::current();
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tokio::task::block_in_place(|| {
                for _ in 0..20 {
                    runtime.block_on(is_refused(&pooler));
                }
            });
        }));
        ends.store(true, Ordering::Relaxed);
        checked.unwrap();
    });
}

/// Leads the programs of a replication over poolers.
fn reconfigure(node: &Node, ways: &[(&Cluster, &Pooler)]) {
    let mut config = std::fs::read_to_string(&node.config).unwrap();
    for (cluster, pooler) in ways {
        let (from, to) = (cluster.conninfo("db1"), pooler.conninfo("db1"));
        config = config.replace(&from, &to);
    }
    std::fs::write(&node.config, config).unwrap();
}

#[test]
fn s6_every_program_says_so_and_a_pool_by_session_is_as_good_as_none() {
    let replication = Replication::builder().make();
    let (provider, subscriber) = (&replication.provider, &replication.subscribers[0]);
    replication.on_provider("create table t (id int primary key, v text)");
    replication.copy_schema();
    let originals = [&replication.ticker, &replication.replay]
        .map(|node| std::fs::read_to_string(&node.config).unwrap());
    let by_transaction = (
        Pooler::start(provider, "db1", "transaction", 10),
        Pooler::start(subscriber, "db1", "transaction", 10),
    );
    reconfigure(&replication.ticker, &[(provider, &by_transaction.0)]);
    reconfigure(
        &replication.replay,
        &[
            (provider, &by_transaction.0),
            (subscriber, &by_transaction.1),
        ],
    );
    replication
        .ticker
        .run(&["install"])
        .code(3)
        .says(&[REFUSED]);
    replication
        .replay
        .run(&["install"])
        .code(3)
        .says(&[REFUSED]);
    let status = replication.replay.run(&["status"]);
    assert!(
        format!("{}{}", status.stdout, status.stderr).contains(REFUSED),
        "{status:?}"
    );
    drop(by_transaction);

    let by_session = (
        Pooler::start(provider, "db1", "session", 30),
        Pooler::start(subscriber, "db1", "session", 30),
    );
    for (node, original) in [&replication.ticker, &replication.replay]
        .into_iter()
        .zip(originals)
    {
        std::fs::write(&node.config, original).unwrap();
        reconfigure(
            node,
            &[(provider, &by_session.0), (subscriber, &by_session.1)],
        );
    }
    replication.start();
    replication.on_provider("insert into t select i, 'v' || i from generate_series(1, 1000) i");
    replication.add_all();
    replication.on_provider("update t set v = 'w' where id % 3 = 0");
    replication.assert_followed(&[]);
}
