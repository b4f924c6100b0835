//! What becomes of replicated tables when their definition changes on one side or the other.

use std::time::Duration;

use tests::{Replication, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// A replication of the tables that `sql` makes on the provider.
fn replicating(sql: &str) -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(sql);
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication
}

fn state(replication: &Replication, table: &str) -> String {
    replication
        .tables()
        .into_iter()
        .find(|row| row.table == table)
        .map_or_else(|| "unknown".into(), |row| row.state)
}

#[test]
fn many_rows_before_and_after_a_new_column_arrive_in_one_batch() {
    let replication = replicating("create table t (id int primary key, v text)");
    replication.replay.run(&["stop"]).ok();
    replication.on_provider("insert into t select g, 'old' from generate_series(1, 500) g");
    replication.everywhere("alter table t add column w int");
    replication.on_provider("insert into t select g, 'new', g from generate_series(501, 999) g");
    replication.on_provider("alter table t drop column v");
    replication.on_provider("update t set w = -id; delete from t where id % 2 = 0");
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
    replication.on_subscriber("alter table t drop column v");
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn a_truncate_after_a_new_column_empties_the_table_of_rows_from_before_it() {
    let replication = replicating("create table t (id int primary key, v text)");
    replication.replay.run(&["stop"]).ok();
    // All of this comes as one batch.
    replication.on_provider("insert into t select g, 'old' from generate_series(1, 10) g");
    replication.everywhere("alter table t add column w int");
    replication.on_provider("truncate t");
    replication.on_provider("insert into t values (1, 'new', 1)");
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&[]);
}

#[test]
fn a_table_renamed_on_the_provider_is_parked_and_the_others_go_on() {
    let replication = replicating(
        "create table t (id int primary key, v text); create table other (id int primary key)",
    );
    replication.on_provider("alter table t rename to renamed; insert into renamed values (1, 'x')");
    replication.on_provider("insert into other values (1)");
    wait_until("the renamed table to be parked", SOON, || {
        state(&replication, "public.t") == "parked"
    });
    wait_until("the other table's row", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    let twice = replication.replay.run(&["add", "renamed"]);
    assert!(twice.code(3).stderr.contains("remove public.t"));
    // Renamed here too, it goes on where it stood.
    replication.on_subscriber("alter table t rename to renamed");
    replication.wait_ok();
    replication.on_provider("update renamed set v = 'y'");
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&["table parked"]);
}

#[test]
fn a_table_made_again_under_its_name_is_not_taken_for_the_old_one() {
    let replication = replicating("create table t (id int primary key); insert into t values (1)");
    replication.on_provider("drop table t; create table t (id int primary key)");
    replication.on_provider("insert into t values (2)");
    wait_until("the dropped table to be parked", SOON, || {
        state(&replication, "public.t") == "parked"
    });
    let named = replication.replay.run(&["add", "t", "--truncate"]);
    assert!(named.code(3).stderr.contains("another table"));
    replication.replay.run(&["add", "--all"]).code(1);
    replication.replay.run(&["remove", "t"]).ok();
    replication.replay.run(&["add", "t", "--truncate"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    replication.assert_clean(&["table parked"]);
}
