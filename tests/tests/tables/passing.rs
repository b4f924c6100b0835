//! States that a transaction goes through and leaves again (F-S2). As migration tools write their DDL: all of it in one
//! transaction, on the subscriber first. Nobody ever sees the states between, so nothing stops for them.

use tests::Replication;

const TABLE: &str = "\
    create table w (id int primary key, a text, b text, n int); \
    insert into w select i, 'a' || i, 'b' || i, i from generate_series(1, 500) i";

/// Runs a migration in one transaction, on the subscriber and then on the provider, with statements there that come
/// among its own at `@`. Then the table goes on, and both sides are the same.
fn migrated(replication: &Replication, migration: &str) {
    println!("{migration}");
    let on = |statement: &str| format!("begin; {statement}; commit");
    let (mut alone, mut among) = (String::new(), String::new());
    for part in migration.split(';').map(str::trim) {
        match part.strip_prefix('@') {
            Some(of_provider) => among.push_str(&format!("{of_provider};")),
            None => {
                alone.push_str(&format!("{part};"));
                among.push_str(&format!("{part};"));
            }
        }
    }
    replication.on_subscriber(&on(&alone));
    replication.on_provider(&on(&among));
    replication.assert_followed(&[]);
    assert_eq!(replication.state("public.w"), "ok");
}

#[test]
fn s2_a_shape_that_its_own_transaction_replaces_stops_no_table() {
    let replication = Replication::running(TABLE);
    for migration in [
        "alter table w add column x int; alter table w drop column x",
        // With rows while it is there.
        "alter table w add column x int default 5; @update w set x = 6, a = 'seen' where id < 20; \
         @insert into w (id, a, x) values (1001, 'new', 1); alter table w drop column x",
        "alter table w rename column a to tmp; alter table w rename column b to a; \
         @update w set tmp = 'in a third name' where id = 3; alter table w rename column tmp to b",
        "alter table w rename to w_of_before; @update w_of_before set n = 0 where id = 4; alter table w_of_before rename to w",
        "alter table w add column y int default 7; @insert into w (id, y) values (1002, null); \
         alter table w rename column y to z; @delete from w where id = 5",
        "alter table w add column x int; savepoint s; alter table w add column never int; rollback to s; \
         alter table w rename column x to x2",
    ] {
        migrated(&replication, migration);
    }
}

#[test]
fn s2_a_column_that_gets_its_type_by_a_helper_column_keeps_every_value() {
    let replication = Replication::running(TABLE);
    // Nullable, and with rows that the helper says nothing of.
    migrated(
        &replication,
        "alter table w add column n2 bigint; update w set n2 = n where id > 10; @insert into w (id, n, n2) values (2001, 1, 2); \
         @update w set n2 = 77, a = 'both' where id = 20; alter table w drop column n; alter table w rename column n2 to n",
    );
    assert_eq!(
        replication.on_subscriber(
            "select count(*) filter (where n is null), max(n) filter (where id = 20), max(n) filter (where id = 2001), \
                    max(a) filter (where id = 20), max(n) filter (where id = 500) from w"
        ),
        "10|77|2|both|500"
    );
    // NOT NULL by the end, so that the subscriber cannot hold the null of before.
    migrated(
        &replication,
        "update w set n = 0 where n is null; alter table w add column n2 text; update w set n2 = 'v' || n; \
         alter table w alter column n2 set not null; alter table w drop column n; alter table w rename column n2 to n",
    );
    // A column that is filled and made NOT NULL needs no other name for that.
    migrated(
        &replication,
        "alter table w add column m int; update w set m = id; alter table w alter column m set not null",
    );
    replication.on_provider("insert into w (id, n, m) values (3001, 'x', 5)");
    replication.assert_followed(&[]);
}

#[test]
fn s2_a_table_that_had_to_wait_for_its_subscriber_passes_over_such_a_shape_too() {
    let replication = Replication::running(TABLE);
    let migration = "begin; alter table w add column k int; update w set k = id; alter table w rename column k to kk; commit";
    replication.on_provider(migration);
    let parked = replication.wait_parked("public.w", &["it has no column kk on the subscriber"]);
    let advice = parked["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("replay resync"), "{advice}");
    replication.on_provider("update w set kk = -1 where id = 1");
    replication.on_subscriber("alter table w add column kk int");
    replication.wait_ok();
    replication.assert_followed(&["table parked table=public.w"]);
}
