//! Tables that change or go away while they are copied, providers that change, and rows that the
//! subscriber's indexes do not take (SY-03, SY-15, DD-11, FA-22).

use tests::{Replication, Session, wait_until};

use crate::SOON;

const TWO: &str = "create table t (id int primary key, v text, n int); create table other (id int primary key); \
    insert into t select i, repeat('v', 60), i from generate_series(1, 60000) i";

/// Waits until a copy's session waits for the table's lock.
fn waiting_for_its_lock(cluster: &tests::Cluster, db: &str) {
    wait_until("the copy to wait for the table", SOON, || {
        cluster.psql(
            db,
            "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline copy-%' \
             and wait_event_type = 'Lock'",
        ) == "t"
    });
}

#[test]
fn what_happens_while_a_copy_waits_for_its_lock_is_in_the_copy_once() {
    let replication = Replication::running(TWO);
    replication.everywhere("create table moved (id int primary key, n int, v text)");
    replication
        .on_provider("insert into moved select i, i, 'old' from generate_series(1, 20000) i");
    replication.replay.run(&["stop"]).ok();
    replication.replay.run(&["add", "moved"]).ok();
    for change in [
        "truncate moved; insert into moved select i, 0, 'after' from generate_series(1, 100) i",
        "alter table moved alter column n type bigint using n + 1; update moved set v = 'wide' where id < 50",
        "delete from moved where id > 90",
    ] {
        if change.starts_with("alter") {
            replication.on_subscriber("alter table moved alter column n type bigint");
        }
        let writer = Session::holding(
            &replication.provider,
            replication.db(),
            "lock table moved in access exclusive mode",
        );
        replication.replay.run(&["start", "-d"]).ok();
        waiting_for_its_lock(&replication.provider, replication.db());
        writer.ask(&format!("{change}; commit"));
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        replication.replay.run(&["stop"]).ok();
        replication.replay.run(&["resync", "moved"]).ok();
    }
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_ok();
    replication.assert_followed(&[]);
}

/// Waits until t is parked for want of the subscriber's table while the other goes on, and
/// gives it back.
fn parked_for_want_of_its_table(replication: &Replication) {
    replication.wait_parked("public.t", &["does not exist"]);
    other_goes_on(replication);
    replication.on_subscriber("create table t (id int primary key, v text, n int)");
    replication.wait_ok();
}

/// Waits until a new row of the other table is on the subscriber.
fn other_goes_on(replication: &Replication) {
    let rows = "select count(*) from other";
    replication.on_provider("insert into other select count(*) from other");
    let wanted = replication.on_provider(rows);
    wait_until("other to go on", SOON, || {
        replication.on_subscriber(rows) == wanted
    });
}

#[test]
fn sy_15_a_table_dropped_while_it_is_copied_is_parked_and_the_others_go_on() {
    let replication = Replication::running(TWO);
    // On the subscriber, while the copy waits to take its indexes away.
    let dropper = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "drop table t",
    );
    replication.replay.run(&["resync", "t"]).ok();
    waiting_for_its_lock(&replication.subscribers[0], replication.db());
    dropper.ask("commit");
    parked_for_want_of_its_table(&replication);
    // On the subscriber: the next part finds no table.
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table trunkline.kept_ddl in share mode",
    );
    replication.replay.run(&["resync", "t"]).ok();
    wait_until("the copy to begin", SOON, || {
        replication.state("public.t") == "in-copy"
    });
    drop(held);
    dropper.ask("drop table t");
    parked_for_want_of_its_table(&replication);
    replication.sync();
    replication.assert_same();
    // On the provider: the copy's lock comes first, and then the table is gone.
    replication.replay.run(&["resync", "t"]).ok();
    replication.on_provider("drop table t");
    let parked = replication.wait_parked("public.t", &[]);
    let error = parked["error"].as_str().unwrap();
    assert!(
        error.contains("dropped on the provider") || error.contains("does not exist"),
        "{error}"
    );
    other_goes_on(&replication);
    replication.assert_clean(&[
        "table parked table=public.t",
        "not cleared away yet",
        "a table's task waits",
    ]);
}

#[test]
fn rows_that_an_index_does_not_take_park_the_table_with_both_names_until_they_are_right() {
    let replication = Replication::builder().make();
    replication.on_provider(TWO);
    replication.copy_schema();
    replication.on_provider("update t set n = 1 where id = 2");
    replication.on_subscriber("create unique index t_n on t (n)");
    replication.start();
    replication.replay.run(&["add", "--all"]).ok();
    replication.wait_parked("public.t", &["index t_n on public.t", "resync"]);
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_constraint where conname = 't_pkey'"),
        "1",
        "what can come back is back"
    );
    wait_until("the other table to be in sync", SOON, || {
        replication.state("public.other") == "ok"
    });
    replication.on_subscriber("update t set n = -2 where id = 2");
    replication.wait_ok();
    replication.on_provider("update t set n = -2 where id = 2");
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'"),
        "2"
    );
    replication.assert_clean(&["table parked table=public.t"]);
}

#[test]
fn a_provider_that_lacks_what_was_copied_is_noticed() {
    let replication = Replication::running(TWO);
    // Held between the copy and its catching up.
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "lock table trunkline.conflict in share mode",
    );
    let building = Session::new(&replication.subscribers[0], replication.db());
    replication.replay.run(&["stop"]).ok();
    replication.on_subscriber("create index t_v on t (v)");
    replication.replay.run(&["resync", "t"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    wait_until("the indexes to be taken away", SOON, || {
        building.ask("select count(*) > 0 from trunkline.kept_ddl") == "t"
    });
    building.ask("begin; select * from trunkline.kept_ddl for update");
    wait_until("all rows to be in", SOON, || {
        replication.on_subscriber("select count(*) from trunkline.table_state where table_name = 't' and copied_tick_id is not null") == "1"
    });
    replication.on_provider("insert into other values (1)");
    wait_until("the loop to be further on", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    replication.on_provider(&format!(
        "update pgq.tick set tick_tag = tick_tag + 1 where tick_id = {}",
        replication.on_subscriber(
            "select copied_tick_id from trunkline.table_state where table_name = 't'"
        )
    ));
    drop(building);
    drop(held);
    replication.wait_parked("public.t", &["went back in time", "replay resync"]);
    replication
        .replay
        .run(&["resync", "t", "--wait", "120"])
        .ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&["table parked table=public.t"]);
}

#[test]
fn sy_03_rows_that_come_before_the_copy_park_the_table_until_they_are_gone() {
    let replication = Replication::builder().make();
    replication.on_provider(TWO);
    replication.copy_schema();
    replication.start();
    replication.on_subscriber("insert into t values (-1, 'mine', 0)");
    replication.replay.run(&["add", "t"]).code(3).says(&[
        "--truncate",
        "--keep-rows",
        "--expect-sync",
    ]);
    replication.on_subscriber("delete from t");
    replication.replay.run(&["stop"]).ok();
    replication.replay.run(&["add", "t", "other"]).ok();
    // Nobody looked when these came.
    replication.on_subscriber("insert into t values (1, 'mine', 0), (-1, 'mine', 0)");
    replication.replay.run(&["start", "-d"]).ok();
    for _ in 0..2 {
        wait_until("t to be parked after a try", SOON, || {
            replication.on_subscriber(
                "select state = 'parked' and not try_now from trunkline.table_state \
                 where table_name = 't'",
            ) == "t"
        });
        replication.wait_parked("public.t", &["holds rows on the subscriber"]);
        assert_eq!(
            replication.on_subscriber("select count(*) from t where v = 'mine'"),
            "2",
            "nobody's rows are touched"
        );
        // Tried again, it is refused again.
        replication.replay.run(&["resume", "t"]).ok();
    }
    other_goes_on(&replication);
    replication.on_subscriber("delete from t");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.t"]);
}

#[test]
fn dd_11_a_table_that_is_dropped_on_either_side_is_parked_by_name_and_the_others_go_on() {
    let replication = Replication::running(
        "create table t (id int primary key, v text, n int); create table other (id int primary key)",
    );
    replication.on_subscriber("alter table t rename to kept");
    replication.on_provider("insert into t values (1, 'missed', 1)");
    replication.wait_parked("public.t", &["does not exist"]);
    other_goes_on(&replication);
    replication.on_subscriber("alter table kept rename to t");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    // On the provider: its rows stay on the subscriber until somebody decides.
    replication.on_provider("drop table t");
    replication.wait_parked("public.t", &["dropped on the provider"]);
    other_goes_on(&replication);
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
    replication.replay.run(&["remove", "t"]).ok();
    replication.assert_followed(&["table parked table=public.t"]);
}
