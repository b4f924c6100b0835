//! Providers and subscribers that come back from a backup (FA-22): what the queue still holds is
//! read again by itself, anything else stops until somebody adopts it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Cluster, Replication, Stop, run, wait_until};

use crate::SOON;

const T: &str = "create table t (id int primary key, v text); insert into t values (0, 'first')";

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to)).ok();
}

/// Keeps a server's files as they are now.
fn backup(replication: &Replication, cluster: &Cluster) -> PathBuf {
    let kept = replication.scratch.path().join("backup");
    cluster.stop(Stop::Fast);
    copy(&cluster.data(), &kept);
    cluster.start_again();
    kept
}

fn restore(cluster: &Cluster, kept: &Path) {
    cluster.stop(Stop::Fast);
    std::fs::remove_dir_all(cluster.data()).unwrap();
    copy(kept, &cluster.data());
    cluster.start_again();
}

fn writes(replication: &Replication, from: i32) {
    for id in from..from + 3 {
        replication.on_provider(&format!("insert into t values ({id}, 'v')"));
        replication.sync();
    }
}

/// What a restored server makes the programs say.
const EXPECTED: [&str; 9] = [
    "subscriber waits",
    "subscriber stopped",
    "table tasks wait",
    "table's task waits",
    "connection",
    "queue failed",
    "database failed",
    "waits for",
    "provider went back in time",
];

fn clean(replication: &Replication) {
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
}

#[test]
fn fa_22_a_subscriber_restored_from_a_backup_reads_again_by_itself_what_the_queue_still_has() {
    let replication = Replication::running(T);
    let kept = backup(&replication, &replication.subscribers[0]);
    writes(&replication, 1);
    restore(&replication.subscribers[0], &kept);
    wait_until("the rows to come again", SOON, || {
        replication.subscribers[0]
            .try_psql(replication.db(), "select count(*) from t")
            .text()
            == "4"
    });
    clean(&replication);
    let nothing = replication.replay.run(&["adopt"]).ok();
    assert!(nothing.text().contains("nothing to adopt"), "{nothing:?}");
}

#[test]
fn fa_22_a_subscriber_that_is_older_than_the_queue_stops_and_is_adopted_by_one_command() {
    let replication = Replication::running(T);
    let kept = backup(&replication, &replication.subscribers[0]);
    writes(&replication, 1);
    replication.replay.run(&["stop"]).ok();
    restore(&replication.subscribers[0], &kept);
    replication.on_provider(
        "update pgq.queue set queue_truncated_txid = txid_current() where queue_name = 'q1'",
    );
    replication.on_provider("insert into t values (100, 'late')");
    replication.replay.run(&["start", "-d"]).ok();
    wait_until("replay to stop there", SOON, || {
        replication.replay.log().contains("subscriber stopped")
    });
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
    let log = replication.replay.log();
    assert!(
        log.contains("lost position") && log.contains("replay adopt"),
        "{log}"
    );
    // Nobody agrees where nobody can be asked, and nothing is changed.
    let refused = replication.replay.run(&["adopt"]).code(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    assert!(
        refused.stdout.contains("1 tables are copied again"),
        "{refused:?}"
    );
    assert_eq!(replication.state("public.t"), "ok");
    replication.replay.run(&["adopt", "--yes"]).ok();
    replication.wait_ok();
    clean(&replication);
    replication.replay.run(&["adopt", "--yes"]).ok();
    replication.on_provider("insert into t values (101, 'after')");
    replication.assert_followed(&EXPECTED);
}

#[test]
fn fa_22_a_provider_that_went_back_in_time_is_adopted_with_its_queue() {
    let replication = Replication::running(T);
    let kept = backup(&replication, &replication.provider);
    writes(&replication, 1);
    replication.ticker.run(&["stop"]).ok();
    restore(&replication.provider, &kept);
    wait_until("replay to stop", SOON, || {
        replication.replay.log().contains("subscriber stopped")
    });
    let epoch = "select queue_epoch from pgq.queue";
    let before = replication.on_provider(epoch);
    let done = replication.replay.run(&["adopt", "--yes"]).ok();
    assert!(done.text().contains("new identity"), "{done:?}");
    assert_ne!(replication.on_provider(epoch), before);
    replication.ticker.run(&["start", "-d"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (1, 'another one')");
    replication.on_provider("insert into t values (50, 'new')");
    replication.assert_followed(&EXPECTED);
    assert_eq!(replication.on_subscriber("select count(*) from t"), "3");
}
