//! What a subscriber holds in the provider's queue, and what it must not hold: pauses,
//! consumers that were taken away, backups put back on either side.

use std::time::Duration;

use tests::{Cluster, Replication, Session, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// A replication of table t with a row.
fn replicating() -> Replication {
    let replication = Replication::builder().make();
    replication
        .on_provider("create table t (id int primary key, v text); insert into t values (1)");
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication
}

fn stop(replication: &Replication) {
    replication.replay.run(&["stop"]).ok();
}

fn start(replication: &Replication) {
    replication.replay.run(&["start", "-d"]).ok();
}

/// Sessions outlive their programs for a moment.
fn wait_left(cluster: &Cluster, db: &str) {
    let there = format!("select count(*) from pg_stat_activity where datname = '{db}'");
    wait_until("all sessions of the database to end", SOON, || {
        cluster.psql("postgres", &there) == "0"
    });
}

/// Keeps the database as it is now under another name; nobody may be connected.
fn back_up(cluster: &Cluster, db: &str) {
    wait_left(cluster, db);
    cluster.psql("postgres", &format!("create database backup template {db}"));
}

fn put_back(cluster: &Cluster, db: &str) {
    wait_left(cluster, db);
    cluster.psql("postgres", &format!("drop database {db}"));
    cluster.psql("postgres", &format!("alter database backup rename to {db}"));
}

#[test]
fn a_paused_job_holds_no_snapshot_on_the_provider() {
    let replication = replicating();
    replication.replay.run(&["pause"]).ok();
    wait_until("the pause", SOON, || {
        replication.replay.log().contains("pause changed")
    });
    // More than waits between reader and loop.
    replication.on_provider(
        "insert into t select g, repeat(md5(g::text), 20) from generate_series(2, 40000) g",
    );
    replication.on_provider("select pgq.force_tick('q1')");
    // It may read for a while; held by the pause, it would do so for ever.
    std::thread::sleep(Duration::from_secs(3));
    wait_until("no snapshot to be held", SOON, || {
        replication.on_provider(
            "select count(*) from pg_stat_activity \
             where application_name like '%replay1' and backend_xmin is not null",
        ) == "0"
    });
    replication.replay.run(&["resume"]).ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn a_consumer_that_was_taken_away_is_missed_and_install_puts_it_back() {
    let replication = replicating();
    replication.on_provider("select pgq.unregister_consumer('q1', 'replay1')");
    wait_until("status to show it", SOON, || {
        let status = replication.replay.run(&["status"]).ok();
        status
            .stdout
            .contains("the provider has no consumer replay1 any more")
    });
    replication.replay.run(&["install"]).ok();
    wait_until("status to be good again", SOON, || {
        !replication
            .replay
            .run(&["status"])
            .ok()
            .stdout
            .contains("error")
    });
    replication.on_provider("insert into t values (2)");
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_provider("select count(*) from pgq.get_consumer_info('q1', 'replay1')"),
        "1"
    );
    replication.assert_clean(&["table tasks wait"]);
}

#[test]
fn a_consumer_whose_events_are_gone_is_not_put_back() {
    let replication = replicating();
    stop(&replication);
    replication.on_provider("select pgq.unregister_consumer('q1', 'replay1')");
    replication.on_provider("insert into t values (2)");
    replication.on_provider(
        "update pgq.queue set queue_truncated_txid = txid_current() where queue_name = 'q1'",
    );
    let refused = replication.replay.run(&["install"]);
    assert_eq!(refused.code(3).stderr.matches("replay adopt").count(), 1);
    start(&replication);
    wait_until("the loop to refuse", SOON, || {
        replication.replay.log().contains("subscriber stopped")
    });
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
}

#[test]
fn a_subscriber_that_was_put_back_from_a_backup_holds_the_queue_again_and_catches_up() {
    let replication = replicating();
    replication.sync();
    stop(&replication);
    let before = replication.on_subscriber("select tick_id from trunkline.position");
    back_up(&replication.subscribers[0], replication.db());
    start(&replication);
    replication.on_provider("insert into t values (2)");
    replication.sync();
    let consumer = "select sub_last_tick from pgq.subscription";
    wait_until("the provider to know", SOON, || {
        replication.on_provider(consumer) != before
    });
    stop(&replication);
    put_back(&replication.subscribers[0], replication.db());
    // The loop waits for the position, while the provider has to hold what comes next.
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table t in access exclusive mode",
    );
    start(&replication);
    wait_until("the consumer to be back", SOON, || {
        replication.on_provider(consumer) == before
    });
    drop(held);
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn a_table_that_was_not_captured_for_a_while_is_never_ok_on_a_subscriber_from_before() {
    let replication = replicating();
    replication.sync();
    stop(&replication);
    back_up(&replication.subscribers[0], replication.db());
    replication.replay.run(&["remove", "t"]).ok();
    replication.on_provider("insert into t values (2, 'in no event')");
    start(&replication);
    replication.replay.run(&["add", "t", "--truncate"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (3)");
    replication.sync();
    replication.assert_same();
    stop(&replication);
    put_back(&replication.subscribers[0], replication.db());
    start(&replication);
    wait_until("the table to be parked", SOON, || {
        replication
            .on_subscriber("select error from trunkline.table_state where state = 'parked'")
            .contains("its capture was ended")
    });
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
}

#[test]
fn after_a_provider_was_put_back_from_a_backup_the_advice_brings_everything_back() {
    let replication = replicating();
    replication.sync();
    stop(&replication);
    replication.ticker.run(&["stop"]).ok();
    back_up(&replication.provider, replication.db());
    replication.ticker.run(&["start", "-d"]).ok();
    start(&replication);
    replication.on_provider("insert into t values (2)");
    replication.sync();
    stop(&replication);
    replication.ticker.run(&["stop"]).ok();
    put_back(&replication.provider, replication.db());
    start(&replication);
    wait_until("the loop to refuse", SOON, || {
        replication
            .replay
            .log()
            .contains("replay adopt, which copies the tables again")
    });
    replication.ticker.run(&["start", "-d"]).ok();
    replication.on_provider("insert into t values (3)");
    replication.replay.run(&["remove", "--all"]).ok();
    replication.replay.run(&["install"]).ok();
    replication.replay.run(&["add", "--all", "--truncate"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
}

#[test]
fn a_reload_of_the_same_config_does_not_begin_a_copy_anew() {
    let replication = Replication::builder().make();
    replication
        .on_provider("create table t (id int primary key, v text); insert into t values (1)");
    replication.copy_schema();
    replication.start();
    // Claims the only part before the copy does, which waits until the session ends.
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 't', 0)",
    );
    replication.replay.run(&["add", "--all"]).ok();
    let started = "select started_at from trunkline.table_state where state = 'in-copy'";
    wait_until("the copy to begin", SOON, || {
        !replication.on_subscriber(started).is_empty()
    });
    let before = replication.on_subscriber(started);
    replication.replay.run(&["reload"]).ok();
    wait_until("the config to be read", SOON, || {
        replication
            .replay
            .log()
            .contains("config read again changed=false")
    });
    assert_eq!(replication.on_subscriber(started), before);
    drop(held);
    replication.wait_ok();
    replication.assert_same();
    replication.assert_clean(&[]);
}
