//! `trunkline.wait_replicated()`: what it says is so, and it never says so of a subscriber that lacks something.

use tests::{Cluster, Replication, Server, Session, wait_until};

use crate::SOON;

const WAIT: &str = "select trunkline.wait_replicated('q1', 1, '60 s')";

/// A wait that is expected to be in vain.
const IN_VAIN: &str = "select trunkline.wait_replicated('q1', 1, '1 s')";

#[test]
fn what_was_committed_before_the_call_is_on_the_subscriber_after_it() {
    for major in [10, 15, 18] {
        let server = Server::version(major);
        let replication = Replication::builder()
            .provider(Cluster::builder(&server))
            .subscribers(vec![Cluster::builder(&server)])
            .make();
        replication
            .everywhere("create table t (id int primary key); create table u (id int primary key)");
        replication.start();
        replication.add_all();
        let writer = Session::new(&replication.provider, replication.db());
        let reader = Session::new(&replication.subscribers[0], replication.db());
        for id in 0..100 {
            let table = if id % 3 == 0 { "u" } else { "t" };
            writer.ask(&format!("insert into {table} values ({id})"));
            assert_eq!(writer.ask(WAIT), "t");
            let there = reader.ask(&format!("select count(*) from {table} where id = {id}"));
            assert_eq!(there, "1", "PostgreSQL {major}, row {id}");
        }
        // A quiet queue is no reason to wait.
        replication.ticker.run(&["stop"]).ok();
        assert_eq!(writer.ask(WAIT), "t");
        writer.ask("insert into t values (1000)");
        assert_eq!(writer.ask(IN_VAIN), "f");
        replication.ticker.run(&["start", "-d"]).ok();
        assert_eq!(writer.ask(WAIT), "t");
        replication.sync();
        replication.assert_same();
    }
}

#[test]
fn a_subscriber_counts_only_with_every_captured_table_whole() {
    let replication = Replication::running(
        "create table t (id int primary key); create table u (id int primary key)",
    );
    let writer = Session::new(&replication.provider, replication.db());
    assert_eq!(writer.ask(WAIT), "t");
    // A table that is parked is not there, whatever the position says.
    replication.on_subscriber("alter table u add constraint u_small check (id < 10)");
    writer.ask("insert into u values (100)");
    assert_eq!(writer.ask(IN_VAIN), "f");
    replication.wait_parked("public.u", &["u_small"]);
    writer.ask("insert into t values (1)");
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from t where id = 1") == "1"
    });
    assert_eq!(writer.ask(IN_VAIN), "f");
    replication.on_subscriber("alter table u drop constraint u_small");
    replication.replay.run(&["resync", "u"]).ok();
    replication.wait_ok();
    assert_eq!(writer.ask(WAIT), "t");
    // A table of which the subscriber has a part of the rows.
    replication.everywhere("create table w (id int primary key)");
    replication
        .replay
        .run(&["add", "w", "--where", "id > 0"])
        .ok();
    replication.wait_ok();
    assert_eq!(writer.ask(IN_VAIN), "f");
    replication.replay.run(&["remove", "w"]).ok();
    assert_eq!(writer.ask(WAIT), "t");
    // A subscriber that stands still.
    replication.replay.run(&["stop"]).ok();
    writer.ask("insert into t values (2)");
    assert_eq!(writer.ask(IN_VAIN), "f");
    replication.replay.run(&["start", "-d"]).ok();
    assert_eq!(writer.ask(WAIT), "t");
    replication.sync();
    replication.assert_same();
}

#[test]
fn as_many_subscribers_as_are_named_have_the_change() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&server), Cluster::builder(&server)])
        .running("create table t (id int primary key)");
    let writer = Session::new(&replication.provider, replication.db());
    let both = "select trunkline.wait_replicated('q1', 2, '60 s')";
    for id in 0..20 {
        writer.ask(&format!("insert into t values ({id})"));
        assert_eq!(writer.ask(both), "t");
        for subscriber in &replication.subscribers {
            let there = format!("select count(*) from t where id = {id}");
            assert_eq!(subscriber.psql(replication.db(), &there), "1");
        }
    }
    let held = Session::holding(
        &replication.subscribers[1],
        replication.db(),
        "lock table t in access exclusive mode",
    );
    writer.ask("insert into t values (100)");
    assert_eq!(writer.ask(WAIT), "t");
    assert_eq!(
        writer.ask("select trunkline.wait_replicated('q1', 2, '1 s')"),
        "f"
    );
    drop(held);
    assert_eq!(writer.ask(both), "t");
}

#[test]
fn a_wait_that_could_never_be_true_is_an_error() {
    let replication = Replication::running("create table t (id int primary key)");
    let refused = |sql: &str, words: &[&str]| {
        let output = replication.provider.try_psql(replication.db(), sql);
        output.code(1).says(words);
    };
    refused(
        "select trunkline.wait_replicated('q2')",
        &["No such event queue", "q2"],
    );
    refused(
        "select trunkline.wait_replicated('q1', 2)",
        &["queue q1 has 1 subscribers of all its captured tables, and 2 are waited for"],
    );
    refused(
        "select trunkline.wait_replicated('q1', -1)",
        &["number of subscribers"],
    );
    let after_commit = &["Call it after COMMIT"];
    refused(
        "begin; insert into t values (1); select trunkline.wait_replicated('q1')",
        after_commit,
    );
    refused(
        "begin isolation level repeatable read; select trunkline.wait_replicated('q1')",
        after_commit,
    );
}

#[test]
fn a_subscriber_that_was_restored_is_not_taken_for_one_that_has_everything() {
    let replication = Replication::running("create table t (id int primary key)");
    let writer = Session::new(&replication.provider, replication.db());
    writer.ask("insert into t values (1)");
    assert_eq!(writer.ask(WAIT), "t");
    // Its position goes back, as with a backup: the consumer's position on the provider does not.
    replication.replay.run(&["stop"]).ok();
    let position = replication.on_subscriber(
        "select format('update trunkline.position set tick_id = %s, tick_tag = %s', tick_id, tick_tag) \
           from trunkline.position",
    );
    writer.ask("insert into t values (2)");
    replication.replay.run(&["start", "-d"]).ok();
    assert_eq!(writer.ask(WAIT), "t");
    replication.replay.run(&["stop"]).ok();
    replication.on_subscriber(&position);
    replication.on_subscriber("delete from t where id = 2");
    replication.replay.run(&["pause"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    assert_eq!(writer.ask(IN_VAIN), "f");
    replication.replay.run(&["resume"]).ok();
    assert_eq!(writer.ask(WAIT), "t");
    replication.sync();
    replication.assert_same();
}
