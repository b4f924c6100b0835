//! Subscribers that take over from their provider, and subscribers that were put back
//! (SQ-01, SQ-02, FA-22).

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tests::{Cluster, Replication, Stop, Writes, wait_until};

use crate::SOON;

#[test]
fn sq_02_a_promoted_subscriber_gives_out_no_key_that_a_row_holds() {
    let replication = Replication::running(
        "create table t (id bigserial primary key, v text); \
         create table down (id int primary key, v text); \
         create sequence \"regress'quote\" as int increment -7 minvalue -2147483648 maxvalue 2147483647 start 2147483647; \
         create table cached (id int primary key, v text); create sequence \"a.periodic.sequence\" cache 50 increment 3",
    );
    replication.replay.run(&["add-seq", "--all"]).ok();
    let load = replication.load(
        4,
        Duration::from_millis(2),
        &(Arc::new(|_: &mut rand::rngs::StdRng, number: u64| {
            match number % 3 {
                0 => "insert into t (v) select 'x' from generate_series(1, 5)",
                1 => "insert into down values (nextval('\"regress''quote\"'), 'x')",
                _ => "insert into cached values (nextval('\"a.periodic.sequence\"'), 'x')",
            }
            .to_owned()
        }) as Writes),
    );
    for _ in 0..3 {
        load.wait_for_more(150);
        // At every moment, not only at the end.
        for (table, sequence) in [
            ("t", "t_id_seq"),
            ("down", "\"regress''quote\""),
            ("cached", "\"a.periodic.sequence\""),
        ] {
            let ahead = if table == "down" { "<= min" } else { ">= max" };
            let name = sequence.replace("''", "'");
            assert_eq!(
                replication.on_subscriber(&format!(
                    "select (select last_value from {name}) {ahead}(id) from {table}"
                )),
                "t",
                "{table}"
            );
        }
    }
    // The provider dies, replay ends, and the subscriber takes over.
    replication.provider.kill9();
    let _ = load.stop();
    replication.replay.kill9();
    for (table, sequence) in [
        ("t", "t_id_seq"),
        ("down", "\"regress''quote\""),
        ("cached", "\"a.periodic.sequence\""),
    ] {
        assert_eq!(
            replication.on_subscriber(&format!("select count(*) > 20 from {table}")),
            "t",
            "{table}"
        );
        replication.on_subscriber(&format!(
            "insert into {table} select nextval('{sequence}'), 'ours' from generate_series(1, 500)"
        ));
    }
}

/// A copy of a stopped server's files.
fn files(cluster: &Cluster, to: &std::path::Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(cluster.data())
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

fn put_back(cluster: &Cluster, from: &std::path::Path) {
    cluster.stop(Stop::Fast);
    std::fs::remove_dir_all(cluster.data()).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(cluster.data())
        .status();
    assert!(copied.unwrap().success());
    cluster.start_again();
}

#[test]
fn fa_22_a_subscriber_from_an_older_backup_goes_on_while_the_queue_has_what_it_lacks() {
    let replication = Replication::running(
        "create table t (id int primary key, v text); insert into t select i, 'v' from generate_series(1, 1000) i",
    );
    let backup = replication.scratch.dir("backups").join("s");
    let subscriber = &replication.subscribers[0];
    replication.replay.run(&["stop"]).ok();
    subscriber.stop(Stop::Fast);
    files(subscriber, &backup);
    subscriber.start_again();
    replication.replay.run(&["start", "-d"]).ok();
    for round in 0..5 {
        replication.on_provider(&format!(
            "update t set v = 'round {round}' where id % 5 = {round}; insert into t values (2000 + {round}, 'new'); \
             delete from t where id = {round} + 1"
        ));
        replication.sync();
    }
    // Under a running replay, which knows what it had committed.
    put_back(subscriber, &backup);
    replication.on_provider("insert into t values (3000, 'after')");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    let allowed = [
        "subscriber waits",
        "table tasks wait",
        "a table's task waits",
    ];
    replication.assert_clean(&allowed);

    // Once what it lacks is gone from the queue, it stops and says so.
    replication.on_provider(
        "select pgq.set_queue_config('q1', 'rotation_period', '1 second'); insert into t values (3001, 'x')",
    );
    replication.sync();
    let rotated = || {
        replication.on_provider("update t set v = v || '.' where id = 3001");
        replication.sync();
        replication.on_provider("select pgq.maint_rotate_tables_step1('q1')");
        replication.on_provider("select pgq.maint_rotate_tables_step2()");
        replication.on_provider("select pgq.maint_reclaim_ticks('q1')");
        std::thread::sleep(Duration::from_millis(1100));
    };
    for _ in 0..5 {
        rotated();
    }
    replication.replay.run(&["stop"]).ok();
    put_back(subscriber, &backup);
    replication.replay.run(&["start", "-d"]);
    wait_until("the lost position to be told", SOON, || {
        replication.replay.log().contains("subscriber stopped")
    });
    let said = replication.replay.run(&["status", "--json"]).stdout;
    assert!(said.contains("nothing was applied"), "{said}");
    let rows = replication.on_subscriber("select count(*) from t");
    assert_eq!(rows, "1000", "nothing is applied across the gap");
}
