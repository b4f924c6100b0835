//! Moves that are broken off at each of their steps, and providers that are none for the subscriber.

use std::time::Duration;

use tests::{Cluster, Node, Scratch, Server, Session, configure, wait_until};

use crate::SOON;
use crate::link::DB;
use crate::moving::{
    EXPECTED, between_two_ticks, chain, copies, hop, hops, is_registered, point, three, wait_hops,
};

const T: &str =
    "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')";

/// Waits until a session of replay on this node waits.
fn wait_stuck(node: &Cluster, condition: &str) {
    wait_until("replay to be held", SOON, || {
        node.psql(
            DB,
            &format!(
                "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline%' and {condition}"
            ),
        ) == "t"
    });
}

/// Replay of the last node is killed while it moves to the node in the middle, where it waits for this lock on a node;
/// then it goes on at the node `then`: there, or at the first node again.
fn killed_where_it_waits_for(node: usize, lock: &str, then: usize) {
    let chain = chain(three(), T);
    let copied = copies(&chain);
    between_two_ticks(&chain);
    chain.on(
        0,
        "delete from t where id = 100; insert into t values (3, 'c')",
    );
    chain.links[1].ticker.run(&["stop"]).ok();
    chain.links[0].replay.run(&["start", "-d"]).ok();
    chain.links[0].sync();
    let before = hops(&chain);
    let held = Session::holding(&chain.nodes[node], DB, lock);
    point(&chain, 1);
    chain.links[1].replay.run(&["start", "-d"]);
    wait_stuck(&chain.nodes[node], "wait_event_type = 'Lock'");
    chain.links[1].replay.kill9();
    drop(held);
    assert_eq!(hops(&chain), before);
    chain.links[1].ticker.run(&["start", "-d"]).ok();
    point(&chain, then);
    chain.links[1].replay.run(&["start", "-d"]).ok();
    if then == 1 {
        wait_hops(&chain, before + 1);
    }
    chain.on(0, "update t set v = 'later' where id = 2");
    wait_until("the other one to be left", SOON, || {
        !is_registered(&chain, 1 - then)
    });
    chain.assert_followed(&EXPECTED);
    chain.assert_no_conflicts();
    assert_eq!(copies(&chain), copied);
}

#[test]
fn killed_before_it_is_noted_where_the_consumer_may_be_left() {
    killed_where_it_waits_for(2, "lock table trunkline.left_upstream in exclusive mode", 0);
}

#[test]
fn killed_while_the_consumer_is_registered() {
    killed_where_it_waits_for(1, "lock table pgq.subscription in share mode", 0);
}

#[test]
fn killed_while_the_tables_get_the_consumer() {
    killed_where_it_waits_for(1, "lock table trunkline.captured in share mode", 1);
}

#[test]
fn killed_while_events_are_applied_once_more() {
    killed_where_it_waits_for(2, "lock table t in share mode", 1);
}

#[test]
fn killed_while_the_tables_are_rewritten() {
    killed_where_it_waits_for(2, "lock table trunkline.table_state in share mode", 0);
}

#[test]
fn killed_inside_the_commit_of_the_move() {
    let chain = chain(three(), T);
    let copied = copies(&chain);
    between_two_ticks(&chain);
    chain.on(
        0,
        "delete from t where id = 100; insert into t values (3, 'c')",
    );
    chain.links[1].ticker.run(&["stop"]).ok();
    chain.links[0].replay.run(&["start", "-d"]).ok();
    chain.links[0].sync();
    point(&chain, 1);
    let held = Session::holding(&chain.nodes[2], DB, "lock table t in share mode");
    chain.links[1].replay.run(&["start", "-d"]);
    wait_stuck(&chain.nodes[2], "wait_event_type = 'Lock'");
    chain.nodes[2].hold_commits();
    drop(held);
    wait_stuck(&chain.nodes[2], "wait_event = 'SyncRep'");
    chain.links[1].replay.kill9();
    chain.on(2, "alter system reset synchronous_standby_names");
    chain.on(2, "select pg_reload_conf()");
    chain.links[1].ticker.run(&["start", "-d"]).ok();
    chain.links[1].replay.run(&["start", "-d"]).ok();
    chain.on(0, "update t set v = 'later' where id = 2");
    chain.assert_followed(&[
        EXPECTED[0],
        EXPECTED[1],
        EXPECTED[2],
        "waits for a synchronous",
    ]);
    chain.assert_no_conflicts();
    assert_eq!(copies(&chain), copied);
}

#[test]
fn a_node_that_is_behind_is_waited_for() {
    let chain = chain(three(), T);
    hop(&chain, 0);
    chain.sync();
    chain.links[0].replay.run(&["pause"]).ok();
    wait_until("the node in the middle to pause", SOON, || {
        chain.links[0].replay.log().contains("paused=true")
    });
    chain.on(0, "insert into t values (3, 'c')");
    chain.links[1].sync();
    let before = hops(&chain);
    point(&chain, 1);
    chain.links[1].replay.run(&["restart"]);
    wait_until("replay to say that it waits", SOON, || {
        chain.links[1]
            .replay
            .log()
            .contains("has no place for the subscriber yet")
    });
    assert_eq!(hops(&chain), before);
    chain.links[0].replay.run(&["resume"]).ok();
    wait_hops(&chain, before + 1);
    chain.on(0, "update t set v = 'later' where id = 2");
    chain.assert_followed(&EXPECTED);
    chain.assert_no_conflicts();
}

#[test]
fn another_provider_with_a_queue_of_the_same_name_is_no_place_to_go_on() {
    let chain = chain(three(), T);
    let other = Cluster::builder(&Server::debian15()).start();
    other.create_db(DB);
    other.psql(DB, T);
    let scratch = Scratch::new();
    let (ticker, _) = configure(&scratch, DB, &other, &[&chain.nodes[2]], "", "");
    let _daemons = tests::Daemons(vec![Node::new(
        "ticker",
        &scratch,
        &ticker.config,
        "ticker1",
    )]);
    ticker.run(&["install"]).ok();
    ticker.run(&["start", "-d"]).ok();
    other.psql(
        DB,
        "select trunkline.add_table('q1', 'somebody', 'public', 't')",
    );
    other.psql(DB, "insert into t values (7, 'not ours')");
    let log = || chain.links[1].replay.log();
    let text = std::fs::read_to_string(&chain.links[1].replay.config).unwrap();
    let wrong = text.replace(&chain.nodes[1].conninfo(DB), &other.conninfo(DB));
    std::fs::write(&chain.links[1].replay.config, wrong).unwrap();
    chain.links[1].replay.run(&["restart"]);
    wait_until("replay to stop there", SOON, || {
        log().contains("subscriber stopped")
    });
    for words in [
        "nothing was applied",
        "the queue is another one",
        "nothing in common",
        "replay adopt",
    ] {
        assert!(log().contains(words), "{words}:\n{}", log());
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        other.psql(
            DB,
            "select count(*) from pgq.consumer where co_name like 'replay2%'"
        ),
        "0"
    );
    assert_eq!(chain.on(2, "select count(*) from t"), "2");
    // A command that would mix up the two is refused.
    chain.links[1]
        .replay
        .run(&["resync", "public.t"])
        .code(3)
        .says(&["has not moved"]);
    std::fs::write(&chain.links[1].replay.config, text).unwrap();
    chain.links[1].replay.run(&["restart"]).ok();
    chain.on(0, "insert into t values (3, 'c')");
    chain.assert_followed(&["subscriber stopped", "subscriber waits", "table tasks wait"]);
    chain.assert_no_conflicts();
}

#[test]
fn a_node_does_not_move_to_one_that_it_feeds() {
    let chain = chain(three(), T);
    // The node in the middle turns to the last one, which reads from it.
    chain.links[1].ticker.run(&["status"]);
    let scratch = Scratch::new();
    let (ticker, _) = configure(&scratch, DB, &chain.nodes[2], &[&chain.nodes[1]], "", "");
    let _daemons = tests::Daemons(vec![Node::new(
        "ticker",
        &scratch,
        &ticker.config,
        "ticker1",
    )]);
    ticker.run(&["install"]).ok();
    ticker.run(&["start", "-d"]).ok();
    chain.on(2, "select trunkline.create_queue('q1')");
    chain.on(
        2,
        "select trunkline.add_table('q1', 'keeper', 'public', 't')",
    );
    chain.on(0, "insert into t values (3, 'c')");
    chain.sync();
    let log = || chain.links[0].replay.log();
    let text = std::fs::read_to_string(&chain.links[0].replay.config).unwrap();
    let wrong = text.replace(&chain.nodes[0].conninfo(DB), &chain.nodes[2].conninfo(DB));
    std::fs::write(&chain.links[0].replay.config, wrong).unwrap();
    chain.links[0].replay.run(&["restart"]);
    wait_until("replay to see the circle", SOON, || {
        log().contains("circle")
    });
    assert!(!log().contains(" hopped "), "{}", log());
    std::fs::write(&chain.links[0].replay.config, text).unwrap();
    chain.links[0].replay.run(&["restart"]).ok();
    chain.on(0, "insert into t values (4, 'd')");
    chain.assert_followed(&["subscriber stopped", "subscriber waits", "table tasks wait"]);
}
