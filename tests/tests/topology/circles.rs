//! A circle of nodes stops, also one that is closed at a single moment, and no change comes back to the node that wrote
//! it.

use std::thread;

use tests::{Cluster, Server, wait_until};

use crate::{SOON, link::Chain};

fn ring(nodes: usize) -> Chain {
    let server = Server::debian15();
    Chain::make(
        (0..nodes).map(|_| Cluster::builder(&server)).collect(),
        true,
    )
}

/// How often a node's queue holds the rows of one id in events of table t.
fn logged(chain: &Chain, node: usize, id: &str) -> u64 {
    let count = format!(
        "select count(*) from pgq.event_1 where ev_type like 'trunkline.%' and ev_extra1 = 'public.t' \
            and ev_data ~ '(^|\\n)\\({id},'"
    );
    chain.on(node, &count).parse().unwrap()
}

/// The jobs that write nothing because of a circle.
fn stopped(chain: &Chain) -> Vec<usize> {
    (0..chain.links.len())
        .filter(|link| {
            // The last job writes the first node. A table that `add` has refused is in no list.
            let node = (link + 1) % chain.nodes.len();
            let writes = "select coalesce(bool_and(concat(p.last_error, s.error) not like '%circle%'), false) \
                 from trunkline.position p join trunkline.table_state s using (consumer)";
            chain.on(node, writes) == "f"
        })
        .collect()
}

/// Each node writes a row and changes it; nothing of it may come round.
fn nothing_echoes(chain: &Chain) {
    let count = chain.nodes.len();
    for node in 0..count {
        chain.on(
            node,
            &format!("insert into t values (10{node}, 'first'); update t set v = 'second' where id = 10{node}"),
        );
    }
    // Whatever can be passed on has been passed on when every job that runs has applied all of its provider's.
    for _ in 0..count {
        for (place, link) in chain.links.iter().enumerate() {
            // A job may also find the circle meanwhile.
            wait_until("a job to apply all or to stop", SOON, || {
                stopped(chain).contains(&place)
                    || link.replay.run(&["wait", "--timeout", "1"]).code == 0
            });
        }
    }
    for node in 0..count {
        let id = format!("10{node}");
        assert_eq!(
            chain.on(node, &format!("select v from t where id = {id}")),
            "second"
        );
        if chain.on(node, "select count(*) from trunkline.captured") == "1" {
            assert_eq!(logged(chain, node, &id), 2, "node {node} wrote it twice");
        }
        for other in 0..count {
            assert!(
                logged(chain, other, &id) <= 2,
                "no node has them more than once"
            );
        }
    }
}

fn begun_at_one_moment(nodes: usize) {
    let chain = ring(nodes);
    chain.start("create table t (id int primary key, v text)");
    thread::scope(|scope| {
        for link in &chain.links {
            // The command sees the circle itself, if it is late enough.
            scope.spawn(|| link.replay.run(&["add", "t", "--expect-sync"]));
        }
    });
    wait_until("a node to see the circle", SOON, || {
        !stopped(&chain).is_empty()
    });
    nothing_echoes(&chain);
}

#[test]
fn op_06_two_nodes_that_turn_to_each_other_at_one_moment_stop() {
    begun_at_one_moment(2);
}

#[test]
fn three_nodes_that_close_a_circle_at_one_moment_stop() {
    begun_at_one_moment(3);
}

#[test]
fn op_06_a_job_that_would_close_a_running_chain_to_a_circle_is_refused_and_stops() {
    let chain = ring(3);
    chain.start("create table t (id int primary key, v text)");
    let closing = &chain.links[2];
    for link in &chain.links[..2] {
        link.replay.run(&["add", "t", "--wait", "120"]).ok();
    }
    closing
        .replay
        .run(&["add", "t", "--expect-sync"])
        .code(3)
        .says(&["public.t", "circle"]);
    assert_eq!(
        chain.on(2, "select count(*) from trunkline.captured"),
        "0",
        "a refused table is not captured"
    );
    // Somebody who has both rows made by hand meets the daemon.
    chain.on(
        2,
        "select trunkline.add_table('q1', 'replay3', 'public', 't')",
    );
    chain.on(
        0,
        &format!(
            "insert into trunkline.table_state (consumer, schema_name, table_name, provider_oid, existing) \
             values ('replay3', 'public', 't', {}, 'trust'); select trunkline.set_writers('t'::regclass)",
            chain.on(2, "select 't'::regclass::oid")
        ),
    );
    wait_until("the closing job to stop", SOON, || {
        stopped(&chain) == [2] && closing.replay.log().contains("circle")
    });
    nothing_echoes(&chain);
    // What is broken up goes on, and in the other direction too.
    closing.replay.run(&["remove", "t"]).ok();
    for link in &chain.links[..2] {
        link.replay.run(&["resync", "t"]).ok();
        link.wait_ok();
    }
    chain.on(0, "insert into t values (9, 'after')");
    for link in &chain.links[..2] {
        link.sync();
    }
    assert_eq!(chain.on(2, "select v from t where id = 9"), "after");
}

#[test]
fn two_nodes_may_give_each_other_different_tables() {
    let chain = ring(2);
    chain.start(
        "create table t (id int primary key, v text); create table u (id int primary key, v text)",
    );
    chain.links[0]
        .replay
        .run(&["add", "t", "--wait", "120"])
        .ok();
    chain.links[1]
        .replay
        .run(&["add", "u", "--wait", "120"])
        .ok();
    for link in &chain.links {
        link.replay.run(&["stop"]).ok();
        link.replay.run(&["start", "-d"]).ok();
    }
    chain.on(0, "insert into t values (1, 'down')");
    chain.on(1, "insert into u values (1, 'up')");
    chain.sync();
    assert_eq!(chain.on(1, "select v from t"), "down");
    assert_eq!(chain.on(0, "select v from u"), "up");
    for link in &chain.links {
        assert_eq!(link.unclean(&[]), Vec::<String>::new());
    }
}
