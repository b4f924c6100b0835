//! SIGKILL of replay at a known place of its work: held there by a lock, or in
//! the middle of COMMIT by a standby that never answers (FA-02).

use std::time::Duration;

use tests::{Cluster, Replication, Session, Transfers, wait_until};

const DB: &str = "db1";

/// A replication whose subscriber would show a row that is applied twice.
fn running() -> Replication {
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, DB);
    replication.on_provider("create table journal (id bigserial primary key, line text)");
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication.on_subscriber("alter table journal drop constraint journal_pkey");
    replication
}

/// Waits until a session of replay waits for what the test holds.
fn wait_stuck(cluster: &Cluster, condition: &str) {
    wait_until("replay to be held", Duration::from_secs(120), || {
        cluster.psql(
            DB,
            &format!(
                "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline%' and {condition}"
            ),
        ) == "t"
    });
}

const FOR_A_LOCK: &str = "wait_event_type = 'Lock'";

fn write(replication: &Replication, rounds: u32) {
    for round in 0..rounds {
        replication.on_provider(&format!(
            "begin; update checking set balance = balance - {round} where id = 1; \
             update savings set balance = balance + {round} where id = 2; \
             insert into journal (line) select 'round {round}' from generate_series(1, 5); commit"
        ));
    }
}

fn assert_exactly_once(replication: &Replication, allowed: &[&str]) {
    replication.replay.run(&["start", "-d"]).ok();
    write(replication, 2);
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) - count(distinct id) from journal"),
        "0"
    );
    replication.assert_clean(allowed);
}

/// Kills replay in the statement that waits for this lock on the subscriber.
fn kill_where_it_waits_for(lock: &str) {
    let replication = running();
    let subscriber = &replication.subscribers[0];
    let held = Session::holding(subscriber, DB, lock);
    write(&replication, 3);
    wait_stuck(subscriber, FOR_A_LOCK);
    replication.replay.kill9();
    drop(held);
    assert_exactly_once(&replication, &[]);
}

#[test]
fn killed_while_it_applies() {
    kill_where_it_waits_for("lock table journal in access exclusive mode");
}

#[test]
fn killed_while_it_writes_the_position() {
    kill_where_it_waits_for("lock table trunkline.position in share mode");
}

#[test]
fn killed_inside_commit_with_the_answer_on_its_way() {
    let replication = running();
    let subscriber = &replication.subscribers[0];
    subscriber.hold_commits();
    write(&replication, 3);
    // The commit is in the subscriber's log, and replay is not told.
    wait_stuck(subscriber, "wait_event = 'SyncRep'");
    replication.replay.kill9();
    subscriber.psql(DB, "alter system reset synchronous_standby_names");
    subscriber.psql(DB, "select pg_reload_conf()");
    // It is told after some seconds, which a busy machine may take.
    assert_exactly_once(&replication, &["commit waits for a synchronous standby"]);
}

#[test]
fn killed_between_the_commit_and_the_end_of_the_batch() {
    let replication = running();
    let before = replication.on_subscriber("select count(*) from journal");
    // Reading a batch is free, finishing it is not.
    replication.replay.run(&["stop"]).ok();
    write(&replication, 3);
    replication.replay.run(&["start", "-d"]).ok();
    let held = Session::holding(
        &replication.provider,
        DB,
        "lock table pgq.subscription in share mode",
    );
    write(&replication, 3);
    wait_stuck(&replication.provider, FOR_A_LOCK);
    replication.replay.kill9();
    drop(held);
    assert_exactly_once(&replication, &[]);
    assert_ne!(
        replication.on_subscriber("select count(*) from journal"),
        before
    );
}

#[test]
fn killed_while_it_fetches_events() {
    let replication = running();
    replication.replay.run(&["stop"]).ok();
    write(&replication, 5);
    let tables = replication.on_provider(
        "select string_agg(i.inhrelid::regclass::text, ', ') from pg_inherits i \
         join pgq.queue q on i.inhparent = q.queue_data_pfx::regclass",
    );
    let held = Session::holding(
        &replication.provider,
        DB,
        &format!("lock table {tables} in access exclusive mode"),
    );
    replication.replay.run(&["start", "-d"]).ok();
    wait_stuck(&replication.provider, FOR_A_LOCK);
    replication.replay.kill9();
    drop(held);
    assert_exactly_once(&replication, &[]);
}

#[test]
fn killed_while_a_copy_waits_for_its_table() {
    let replication = running();
    replication.everywhere("create table late (id int primary key, v text)");
    replication.on_provider("insert into late select i, 'v' from generate_series(1, 1000) i");
    for side in [&replication.subscribers[0], &replication.provider] {
        let held = Session::holding(side, DB, "lock table late in access exclusive mode");
        // `add` itself may wait for the table: it gives up and says so, or goes on.
        let adding = std::thread::spawn({
            let mut command = replication.replay.command(&["add", "late"]);
            move || tests::run(&mut command)
        });
        wait_stuck(side, FOR_A_LOCK);
        replication.replay.kill9();
        drop(held);
        adding.join().unwrap();
        replication.replay.run(&["start", "-d"]).ok();
        replication.replay.run(&["add", "late"]).ok();
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        replication.replay.run(&["remove", "late"]).ok();
        replication.on_subscriber("truncate late");
    }
}
