//! What goes round a fence, or is left by one.

use tests::{Replication, Session, wait_until};

use crate::{SOON, fence, operator, sqlstate};

#[test]
fn who_calls_our_functions_goes_on_as_an_ordinary_session() {
    let replication = Replication::running("create table t (id int primary key)");
    let provider = &replication.provider;
    // The setting must be the same for whatever follows in the transaction: else no trigger of ours fires.
    let role_after = |call: &str| {
        let sql =
            format!("begin; {call}; select current_setting('session_replication_role'); commit");
        let said = provider.psql(replication.db(), &sql);
        said.lines().last().unwrap().to_owned()
    };
    let insert = |call: &str, id: u32| {
        sqlstate(
            provider,
            "db1",
            &format!("begin; {call}; insert into t values ({id}); commit"),
        )
    };
    let call_fence = "select * from trunkline.fence('q1', null, false)";
    let call_unfence = "select * from trunkline.unfence('q1')";
    assert_eq!(insert(call_fence, 1), "25006");
    assert_eq!(role_after(call_fence), "origin");
    assert_eq!(role_after(call_fence), "origin", "it is fenced already");
    assert_eq!(role_after(call_unfence), "origin");
    assert_eq!(role_after(call_unfence), "origin", "it is open already");
    assert_eq!(role_after("select trunkline.open_tables('q1')"), "origin");
    assert_eq!(role_after(call_fence), "origin");
    assert_eq!(insert(call_unfence, 2), "ok");
    replication.assert_followed(&[]);
    let there = replication.on_subscriber("select string_agg(id::text, ' ') from t");
    assert_eq!(there, "2", "what follows an unfence is captured");
}

#[test]
fn a_table_that_is_written_through_its_parent_cannot_be_fenced() {
    let replication = Replication::builder().make();
    replication.everywhere(
        "create table p (id int primary key); create table c (primary key (id)) inherits (p)",
    );
    replication.start();
    replication.replay.run(&["add", "c"]).ok();
    replication.wait_ok();
    let operator = operator(&replication);
    operator.run(&["fence", "q1"]).code(3).says(&[
        "a statement on public.p writes rows of public.c, and public.p is not replicated here",
        "Replicate the parent table, too",
    ]);
    assert_eq!(
        sqlstate(&replication.provider, "db1", "insert into c values (1)"),
        "ok"
    );
    replication.replay.run(&["add", "p", "--expect-sync"]).ok();
    replication.wait_ok();
    fence(&operator);
    for statement in [
        "update p set id = 3",
        "delete from p",
        "insert into c values (2)",
    ] {
        assert_eq!(
            sqlstate(&replication.provider, "db1", statement),
            "25006",
            "{statement}"
        );
    }
}

#[test]
fn a_deny_trigger_that_others_switch_on_is_switched_off_by_unfence() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    fence(&operator);
    operator.run(&["unfence", "q1"]).ok();
    // As pg_restore --disable-triggers does.
    replication
        .on_provider("alter table t disable trigger user; alter table t enable trigger user");
    let insert = |id: u32| {
        let sql = format!("insert into t values ({id})");
        sqlstate(&replication.provider, "db1", &sql)
    };
    assert_eq!(insert(1), "25006");
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(insert(1), "ok");
    operator.run(&["check", "fence"]).ok();
}

#[test]
fn a_fence_that_was_written_through_is_made_anew() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    let first = fence(&operator);
    let again = operator.run(&["fence", "q1"]).ok();
    assert!(
        again.stdout.contains("is fenced already"),
        "{}",
        again.stdout
    );
    replication.on_provider(
        "begin read write; alter table t disable trigger deny_trunkline; insert into t values (1); \
         alter table t enable trigger deny_trunkline; commit",
    );
    let second = fence(&operator);
    assert!(second > first, "{first} {second}");
    crate::wait_tick(&replication, second);
    assert_eq!(replication.on_subscriber("select count(*) from t"), "1");
}

#[test]
fn the_first_fence_waits_for_a_table_that_is_just_being_added() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.everywhere("create table late (id int primary key)");
    let adding = Session::holding(
        &replication.provider,
        "db1",
        "select trunkline.add_table('q1', 'other', 'public', 'late')",
    );
    let operator = operator(&replication);
    operator
        .run(&["fence", "q1", "--drain", "1"])
        .code(4)
        .says(&["is being used by another command"]);
    adding.ask("commit");
    fence(&operator);
    assert_eq!(
        sqlstate(&replication.provider, "db1", "insert into late values (1)"),
        "25006"
    );
}

#[test]
fn a_probe_that_writes_does_not_wait_for_who_reads_its_table() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    replication.on_provider("select trunkline.probe_write() from generate_series(1, 200)");
    let dump = Session::holding(
        &replication.provider,
        "db1",
        "lock table trunkline.probe in access share mode",
    );
    for _ in 0..3 {
        operator.run(&["probe", "serve", "--write"]).ok();
    }
    drop(dump);
    wait_until("the table to begin anew", SOON, || {
        operator.run(&["probe", "serve", "--write"]).ok();
        replication.on_provider("select pg_relation_size('trunkline.probe') < 100000") == "t"
    });
}
