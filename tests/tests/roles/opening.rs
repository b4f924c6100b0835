//! A fence that is taken away: tables that others have locked come later, also when the command is gone.

use tests::{Replication, Session, wait_until};

use crate::{SOON, fence, operator, sqlstate};

#[test]
fn a_table_that_others_hold_is_opened_by_the_ticker_and_delays_no_other() {
    let replication = Replication::running(
        "create table t (id int primary key); create table u (id int primary key)",
    );
    let operator = operator(&replication);
    fence(&operator);
    let vacuum = Session::holding(
        &replication.provider,
        "db1",
        "lock table t in share update exclusive mode",
    );
    operator
        .run(&["unfence", "q1", "--timeout", "0"])
        .code(4)
        .says(&[
            "1 of its tables refuse writes still",
            "the ticker opens them",
        ]);
    assert_eq!(
        sqlstate(&replication.provider, "db1", "insert into u values (1)"),
        "ok"
    );
    assert_eq!(
        sqlstate(&replication.provider, "db1", "insert into t values (1)"),
        "25006"
    );
    operator.run(&["check", "fence"]).code(1);
    // The command is gone: the ticker opens the table when its lock is to be had.
    drop(vacuum);
    wait_until("the ticker to open the table", SOON, || {
        sqlstate(&replication.provider, "db1", "insert into t values (2)") == "ok"
    });
    operator.run(&["check", "fence"]).ok();
    replication.ticker.wait_log("all its tables take writes");
    replication.assert_followed(&[]);
}

#[test]
fn a_node_with_a_lower_term_than_another_is_not_unfenced_without_force() {
    let replication = Replication::running("create table t (id int primary key)");
    let operator = operator(&replication);
    operator.run(&["unfence", "q1"]).code(3).says(&["no role"]);
    fence(&operator);
    replication.on_provider(
        "begin read write; insert into trunkline.member (queue_name, node_id, name, role, term, server_started)
             values ('q1', 7, 'pollux', 'provider', 2, now()); commit",
    );
    operator
        .run(&["unfence", "q1"])
        .code(3)
        .says(&["pollux", "term 2", "--force"]);
    let refused = replication
        .provider
        .try_psql("db1", "begin read write; insert into t values (1)");
    assert!(
        refused.stderr.contains("Its provider is node pollux."),
        "{}",
        refused.stderr
    );
    operator.run(&["unfence", "q1", "--force"]).ok();
    replication.on_provider("insert into t values (1)");
    replication.assert_followed(&[]);
}
