//! A backlog over more tables than the subscriber has locks for (F-H7).

use std::time::Duration;

use tests::{Cluster, Replication, Server, wait_until};

/// Tables, and indexes of each beside its key: who changes a row holds a lock on all of them until the transaction's
/// end.
const TABLES: u32 = 20;
const INDEXES: usize = 30;

fn each(sql: &str) -> Vec<String> {
    let one = |table: u32| sql.replace("TABLE", &format!("t{table}"));
    (0..TABLES).map(one).collect()
}

/// A subscriber with room for some 450 locks, where a change of all tables needs 640.
fn with_few_locks() -> Replication {
    let few = Cluster::builder(&Server::debian15())
        .set("max_connections", 20)
        .set("superuser_reserved_connections", 0)
        .set("max_locks_per_transaction", 10)
        .set("autovacuum_max_workers", 1)
        .set("max_worker_processes", 0)
        .set("max_wal_senders", 0);
    let replication = Replication::builder().subscribers(vec![few]).make();
    let indexes = "; create index on TABLE (v)".repeat(INDEXES);
    let make = format!("create table TABLE (id int primary key, v text){indexes}");
    for some in each(&make).chunks(10) {
        replication.everywhere(&some.join("; "));
    }
    replication.on_provider(&each("insert into TABLE values (1, 'a')").join("; "));
    replication.start();
    replication.add_all();
    replication
}

#[test]
fn h7_a_backlog_that_needs_more_locks_than_the_subscriber_has_is_applied_tick_by_tick() {
    let replication = with_few_locks();
    // While nobody applies: a change of each table, and many ticks.
    replication.replay.run(&["pause"]).ok();
    replication.wait_log("paused=true");
    for some in each("update TABLE set v = 'b'").chunks(5) {
        replication.on_provider(&format!("{}; select pgq.force_tick('q1')", some.join("; ")));
    }
    replication.replay.run(&["resume"]).ok();
    replication.sync();
    replication.wait_log("smaller ones follow");
    replication.assert_same();
    replication.assert_clean(&["smaller ones follow"]);
    // One transaction cannot be applied in parts: what the server wants is told, and it goes on when that is there.
    let one = each("update TABLE set v = 'c'").join("; ");
    replication.on_provider(&format!("begin; {one}; commit"));
    replication.wait_log("max_locks_per_transaction");
    // What stands in the log is stored afterwards, and is away while it is tried again.
    wait_until("status to say so", Duration::from_secs(120), || {
        let status = replication.replay.run(&["status"]).stdout;
        status.contains("max_locks_per_transaction")
    });
    replication.subscribers[0].append("postgresql.conf", "max_locks_per_transaction = 200\n");
    replication.subscribers[0].restart();
    replication.sync();
    replication.assert_same();
}
