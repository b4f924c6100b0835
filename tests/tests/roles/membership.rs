//! Tables and partitions that come and go while a node is fenced, and owners who open what is closed.

use serde_json::Value;
use tests::{Node, Replication, Session};

use crate::{fence, operator, sqlstate};

fn writes(replication: &Replication, sql: &str) -> String {
    sqlstate(
        &replication.provider,
        "db1",
        &format!("begin read write; {sql}"),
    )
}

/// The level of a check, and its message.
fn check(operator: &Node, name: &str) -> (String, String) {
    let said = operator.run(&["check", name, "--output", "json"]);
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    let one = &said["checks"][0];
    (
        one["status"].as_str().unwrap().to_owned(),
        one["message"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn tables_and_partitions_take_the_state_that_their_set_has() {
    let replication = Replication::running(
        "create table t (id int primary key); create table gone (id int primary key);
         create table p (id int primary key) partition by range (id);
         create table p_1 partition of p for values from (0) to (10);
         create table p_2 partition of p for values from (10) to (20)",
    );
    let operator = operator(&replication);
    replication.everywhere(
        "create table late (id int primary key); create table apart (id int primary key)",
    );
    fence(&operator);
    // A partition that is made, one that is attached, and a table that is added are closed.
    replication.on_provider(
        "begin read write; create table p_3 partition of p for values from (20) to (30); commit;
         begin read write; alter table p attach partition apart for values from (30) to (40); commit",
    );
    replication.on_subscriber(
        "create table p_3 partition of p for values from (20) to (30);
         alter table p attach partition apart for values from (30) to (40)",
    );
    replication.replay.run(&["add", "late"]).ok();
    for write in [
        "insert into p_3 values (25)",
        "insert into p values (35)",
        "insert into apart values (35)",
        "insert into late values (1)",
    ] {
        assert_eq!(writes(&replication, write), "25006", "{write}");
    }
    // A partition that leaves its table is open. A table whose last subscriber goes stays closed until the fence does:
    // the application may have moved to that subscriber.
    replication.on_provider("begin read write; alter table p detach partition p_2; commit");
    replication.on_subscriber("alter table p detach partition p_2");
    replication.replay.run(&["remove", "gone"]).ok();
    assert_eq!(writes(&replication, "insert into p_2 values (15)"), "ok");
    assert_eq!(writes(&replication, "insert into gone values (1)"), "25006");
    assert_eq!(
        check(&operator, "fence"),
        ("ok".into(), "all tables are as fenced asks".into())
    );
    // One that comes back is closed again.
    replication.on_provider(
        "begin read write; alter table p attach partition p_2 for values from (10) to (20); commit",
    );
    replication.on_subscriber("alter table p attach partition p_2 for values from (10) to (20)");
    assert_eq!(writes(&replication, "insert into p_2 values (15)"), "25006");
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(check(&operator, "fence").0, "ok");
    replication.on_provider(
        "insert into p values (5), (15), (25), (35); insert into late values (1); insert into gone values (1);
         create table p_5 partition of p for values from (40) to (50); insert into p values (45)",
    );
    replication.on_subscriber("create table p_5 partition of p for values from (40) to (50)");
    replication.wait_ok();
    replication.sync();
    for table in ["p", "late", "t"] {
        tests::same(
            (&replication.provider, "db1"),
            (&replication.subscribers[0], "db1"),
            &format!("public.{table}"),
        );
    }
}

#[test]
fn an_owner_who_disables_the_trigger_is_found_and_a_further_fence_closes_the_table() {
    let replication = Replication::running(
        "create table t (id int primary key); create table u (id int primary key)",
    );
    let operator = operator(&replication);
    assert_eq!(
        check(&operator, "role"),
        ("ok".into(), "is in no set".into())
    );
    let first = fence(&operator);
    let (level, message) = check(&operator, "role");
    assert_eq!(level, "warning");
    assert!(
        message.contains(&format!("tick {first} is the final one")),
        "{message}"
    );
    replication
        .on_provider("begin read write; alter table t disable trigger deny_trunkline; commit");
    replication.on_provider("begin read write; drop trigger deny_trunkline on u; commit");
    replication.on_provider("begin read write; insert into t values (1); commit");
    let (level, message) = check(&operator, "fence");
    assert_eq!(level, "critical");
    assert!(
        message.contains("t takes writes, although this node is fenced")
            && message.contains("u takes"),
        "{message}"
    );
    // Another final tick shows what was written meanwhile.
    let second = fence(&operator);
    assert!(second > first, "{second} {first}");
    for table in ["t", "u"] {
        assert_eq!(
            writes(&replication, &format!("insert into {table} values (2)")),
            "25006"
        );
    }
    assert_eq!(check(&operator, "fence").0, "ok");
    // A trigger that stays on where it must not.
    operator.run(&["unfence", "q1"]).ok();
    replication.on_provider("alter table t enable trigger deny_trunkline");
    let (level, message) = check(&operator, "fence");
    assert_eq!(level, "critical");
    assert!(
        message.contains("t refuses writes, although this node is the provider"),
        "{message}"
    );
    replication.on_provider("alter table t disable trigger deny_trunkline");
    replication.assert_followed(&[]);
}

#[test]
fn a_queue_that_is_dropped_leaves_no_role_behind() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    fence(&operator);
    replication.replay.run(&["stop"]).ok();
    operator.run(&["queue", "drop", "q1", "--force"]).ok();
    let left = replication.on_provider(
        "select (select count(*) from trunkline.role) + (select count(*) from trunkline.history)
              + (select count(*) from pg_trigger where tgname = 'deny_trunkline')
              + (select count(*) from pg_db_role_setting)",
    );
    assert_eq!(left, "0");
    replication.on_provider("insert into t values (1)");
}

#[test]
fn a_partition_that_is_just_being_made_is_waited_for_and_closed() {
    let replication = Replication::running(
        "create table p (id int primary key) partition by range (id);
         create table p_1 partition of p for values from (0) to (10)",
    );
    let operator = operator(&replication);
    fence(&operator);
    operator.run(&["unfence", "q1"]).ok();
    let making = Session::holding(
        &replication.provider,
        "db1",
        "create table p_2 partition of p for values from (10) to (20)",
    );
    let pid = making.ask("select pg_backend_pid()");
    operator
        .run(&["fence", "q1", "--drain", "1"])
        .code(4)
        .says(&["role of queue 'q1'", &format!("pid {pid}")]);
    making.ask("commit");
    fence(&operator);
    for write in ["insert into p_2 values (15)", "insert into p values (15)"] {
        assert_eq!(writes(&replication, write), "25006", "{write}");
    }
}
