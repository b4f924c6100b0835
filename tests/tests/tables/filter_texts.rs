//! What `replay add --where` takes for a filter, and what becomes of one whose table or functions change.

use tests::{Replication, wait_until};

use crate::filters::{SOON, filtered};

#[test]
fn a_text_that_is_no_filter_is_refused_with_what_the_server_says_and_leaves_nothing_behind() {
    let r = Replication::builder().make();
    r.everywhere("create role app");
    r.on_provider(
        "create table t (id int primary key, k int, at timestamptz, c int[], g int generated always as (1) stored);
         create type pair as (a int, b int); create table p (id int primary key, p pair);
         create schema app authorization app; set role app;
         create function app.f(int) returns bool language sql immutable as 'select true'; reset role;
         create function good(int) returns bool language sql immutable as 'select $1 > 1'",
    );
    r.copy_schema();
    r.start();
    for (table, filter, says) in [
        ("t", "k >", "syntax error at or near \")\""),
        ("t", "k > 1; drop table t", "syntax error at or near \";\""),
        ("t", "k > 1) tablespace x where (k > 2", "syntax error"),
        ("t", "k + 1", "must be type boolean"),
        ("t", "nothing > 1", "column \"nothing\" does not exist"),
        ("t", "g > 0", "column \"g\" does not exist"),
        ("t", "at > now()", "nothing that depends on settings"),
        (
            "t",
            "at::date > '2024-01-01'",
            "nothing that depends on settings",
        ),
        ("t", "random() > k", "must be marked IMMUTABLE"),
        ("t", "exists (select 1)", "cannot use subquery"),
        ("t", "max(k) > 1", "aggregate functions are not allowed"),
        ("t", "true", "reads no column"),
        ("t", "t is not null", "reads the row as a whole"),
        (
            "t",
            "app.f(k)",
            "calls function app.f(integer), which belongs to app",
        ),
        (
            "p",
            "(p).a > 1",
            "reads column p, which is of a composite type",
        ),
    ] {
        let add = ["add", table, "--where", filter];
        r.replay.run(&add).code(3).says(&[says]);
    }
    r.replay.run(&["add", "t", "--where", ""]).code(2);
    assert_eq!(
        r.on_provider("select count(*) from trunkline.captured"),
        "0"
    );
    assert_eq!(
        r.on_provider("select count(*) from pg_class where relpersistence = 't'"),
        "0"
    );
    assert_eq!(
        r.on_subscriber("select count(*) from trunkline.table_state"),
        "0"
    );
    // Names are looked up in the table's schema and in public, and the condition may end in a comment.
    let good = "good(t.k) and 3 = any (c) -- mine";
    let dry = ["add", "t", "--where", good, "--dry-run"];
    assert_eq!(
        r.replay.run(&dry).ok().stdout,
        "public.t would be added: where (public.good(k) AND (3 = ANY (c)))\n"
    );
    r.replay.run(&["add", "t", "--where", good]).ok();
    r.wait_ok();
    r.on_provider("insert into t values (1, 2, now(), '{1,3}'), (2, 2, now(), '{1}'), (3, 1, null, '{3}'), (4, 3, null, '{3,NULL}')");
    r.sync();
    filtered(&r, "t", "good(t.k) and 3 = any (c)");
    assert_eq!(r.on_subscriber("select count(*) from t"), "2");
    // The same table again, otherwise: told, and not kept in silence.
    for other in [&["add", "t"][..], &["add", "t", "--where", "k > 5"]] {
        let refused = r.replay.run(other).code(3);
        refused.says(&["remove it, and add it again"]);
    }
    let same = ["add", "t", "--where", "good(k) and 3 = any(c)"];
    assert_eq!(r.replay.run(&same).ok().stdout, "public.t is there\n");
    r.replay.run(&["remove", "t"]).ok();
    r.replay
        .run(&["add", "t", "--where", "k > 2", "--truncate"])
        .ok();
    r.wait_ok();
    r.on_provider("update t set k = k + 1");
    r.sync();
    filtered(&r, "t", "k > 2");
    r.assert_no_conflicts();
}

#[test]
fn a_filter_follows_a_renamed_column_and_parks_its_table_when_a_column_goes_or_a_row_makes_it_fail()
{
    let r = Replication::builder().make();
    r.on_provider(
        "create table t (id int primary key, k int, v text); insert into t select i, i % 10, 'v' from generate_series(1, 500) i;
         create table d (id int primary key, k int); insert into d select i, 1 + i % 10 from generate_series(1, 50) i;
         create table other (id int primary key)",
    );
    r.copy_schema();
    r.start();
    r.replay.run(&["add", "t", "--where", "k > 5"]).ok();
    r.replay.run(&["add", "d", "--where", "100 / k > 20"]).ok();
    r.replay.run(&["add", "other"]).ok();
    r.wait_ok();
    // Another column takes the name.
    r.on_subscriber("alter table t rename k to m; alter table t add k int");
    r.on_provider("begin; alter table t rename k to m; alter table t add k int; update t set k = 10 - m, m = m + 1; commit");
    r.sync();
    filtered(&r, "t", "m > 5");
    r.replay.run(&["resync", "t"]).ok();
    r.wait_ok();
    r.on_provider("update t set m = 11 - m, k = 1 where id % 2 = 0");
    r.sync();
    filtered(&r, "t", "m > 5");
    // A type that leaves the filter its meaning; all rows are rewritten, and compared they cannot be.
    r.on_subscriber("alter table t alter m type bigint");
    r.on_provider("alter table t alter m type bigint");
    wait_until("the rewritten table to be parked", SOON, || {
        r.state("public.t") == "parked"
    });
    r.replay.run(&["resync", "t"]).ok();
    r.wait_ok();
    r.on_provider("update t set m = 11 - m");
    r.sync();
    filtered(&r, "t", "m > 5");
    // What the filter does not read is not its concern.
    r.on_subscriber("alter table t drop v");
    r.on_provider("alter table t drop v; update t set m = 11 - m");
    r.sync();
    filtered(&r, "t", "m > 5");
    r.on_provider(
        "alter table t drop m; update d set k = 0 where id = 7; insert into other values (1)",
    );
    for (table, says) in [
        ("public.t", "reads column k, which was dropped"),
        ("public.d", "division by zero"),
    ] {
        r.wait_parked(table, &[says]);
    }
    wait_until("the other table's row", SOON, || {
        r.on_subscriber("select count(*) from other") == "1"
    });
    r.replay.run(&["remove", "t", "d"]).ok();
    r.replay
        .run(&["add", "t", "--where", "id > 5", "--truncate"])
        .ok();
    r.replay.run(&["add", "d", "--truncate"]).ok();
    r.on_subscriber("alter table t drop m");
    r.wait_ok();
    r.sync();
    filtered(&r, "t", "id > 5");
    filtered(&r, "d", "true");
    r.assert_clean(&["table parked"]);
}

#[test]
fn se_09_a_filter_that_somebody_has_changed_or_that_calls_what_is_another_s_now_runs_nothing() {
    let r = Replication::builder().make();
    r.everywhere("create role app");
    r.on_provider(
        "create table t (id int primary key, k int); create table u (id int primary key, k int); create table ran (n int);
         create function good(int) returns bool language sql immutable as 'select $1 > 1'; insert into t values (1, 2), (2, 1)",
    );
    r.copy_schema();
    r.start();
    r.replay.run(&["add", "t", "--where", "good(k)"]).ok();
    r.replay.run(&["add", "u", "--where", "k > 1"]).ok();
    r.wait_ok();
    // Whoever may write the subscriber's tables must not write SQL for the provider.
    r.on_subscriber(
        "update trunkline.table_state
            set filter = $$(select true from query_to_xml('insert into public.ran values (1)', true, true, '') x where k > 1)$$
          where table_name = 'u'",
    );
    r.on_provider("alter function good(int) owner to app");
    r.replay.run(&["restart"]).ok();
    r.on_provider("insert into u values (1, 2); update t set k = 3");
    for (table, says) in [
        (
            "public.t",
            "calls function public.good(integer), which belongs to app",
        ),
        ("public.u", "cannot use subquery"),
    ] {
        r.wait_parked(table, &[says]);
    }
    assert_eq!(r.on_provider("select count(*) from ran"), "0");
    r.on_provider("alter function good(int) owner to postgres");
    r.replay.run(&["remove", "u"]).ok();
    r.wait_ok();
    r.sync();
    filtered(&r, "t", "good(k)");
    r.assert_clean(&["table parked"]);
}
