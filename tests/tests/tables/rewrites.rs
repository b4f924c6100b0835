//! Commands that write rows by themselves: the subscriber's rows follow, are found to be equal, or the table says that
//! it must be copied again. Nothing differs in silence.

use std::time::Duration;

use tests::{Replication, wait_until};

const SOON: Duration = Duration::from_secs(120);

#[test]
fn dd_01_dd_02_dd_13_what_ddl_writes_on_the_provider_is_on_the_subscriber_or_parks_the_table() {
    let r = Replication::running(
        "create table t (id int primary key, v text); insert into t select i, 'v' || i from generate_series(1, 500) i;
         create table other (id int primary key)",
    );
    // A value for all rows: set here, too, whether or not the subscriber gave the column a default.
    r.on_subscriber("alter table t add d int");
    r.on_provider("alter table t add d int default 7; update t set d = 8 where id = 1");
    r.sync();
    r.assert_same();
    // The same command on both sides.
    for run in [Replication::on_subscriber, Replication::on_provider] {
        run(&r, "alter table t alter d type text using 'd' || d");
    }
    r.on_provider("update t set v = 'w' where id = 2");
    r.sync();
    r.assert_same();
    // What moves rows and changes none is no reason to stop.
    r.on_provider("vacuum full t");
    r.on_provider("cluster t using t_pkey");
    r.on_provider("alter table t set logged; alter table t set (fillfactor = 80); insert into t values (1000, 'n', 'd')");
    r.sync();
    r.assert_same();
    r.assert_clean(&[]);
    // On the provider alone: it stops, says what to do, and goes on by itself when it was done.
    r.on_provider(
        "alter table t alter v type text using upper(v); update t set v = 'x' where id = 3",
    );
    r.on_provider("insert into other values (1)");
    r.wait_parked("public.t", &["run the same statement", "resync"]);
    wait_until("the other table's row", SOON, || {
        r.on_subscriber("select count(*) from other") == "1"
    });
    r.on_subscriber("update t set v = upper(v)");
    r.wait_ok();
    r.sync();
    r.assert_same();
    r.assert_clean(&["table parked"]);
}

#[test]
fn dd_08_a_renamed_table_is_removed_by_the_name_that_it_was_added_under() {
    let r = Replication::running(
        "create table a (id int primary key, v text); create table b (id int primary key, v text);
         insert into a values (1, 'a'); insert into b values (1, 'b')",
    );
    // A swap, on both sides.
    r.everywhere("begin; alter table a rename to c; alter table b rename to a; alter table c rename to b; commit");
    r.on_provider("update a set v = 'was b'; update b set v = 'was a'");
    r.sync();
    r.assert_same();
    r.on_provider("alter table a rename to z");
    r.replay.run(&["remove", "b"]).ok();
    assert_eq!(
        r.on_provider("select count(*) from trunkline.captured where dropped_at is null"),
        "1"
    );
    assert_eq!(r.on_provider("select count(*) from pg_trigger where tgname like 'trunkline%' and tgrelid = 'z'::regclass"), "0");
    r.replay.run(&["remove", "a"]).ok();
    assert_eq!(
        r.on_provider("select count(*) from pg_trigger where tgname like 'trunkline%'"),
        "0"
    );
}
