//! The node in the middle copies its tables again, changes them, and comes to relay or ends it: the third node is never
//! stale in silence.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, rngs::StdRng};
use tests::{Cluster, Load, Server, Writes, wait_until};

use crate::{
    SOON,
    link::{Chain, DB},
};

fn three() -> Chain {
    let server = Server::debian15();
    Chain::make((0..3).map(|_| Cluster::builder(&server)).collect(), false)
}

const CATALOG: &str = "select indexdef from pg_indexes where schemaname = 'public' order by 1";

#[test]
fn what_a_copy_of_the_middle_node_brings_and_takes_away_reaches_the_third() {
    let chain = three();
    chain.start(
        "create table t (id int primary key, v text, n int); create index t_n on t (n); create unique index t_nid on t (n, id); \
         create table refers (id int primary key, t int references t); \
         create table bare (a int, b text)",
    );
    // Large enough that a copy takes the indexes away which it may take.
    chain.on(
        0,
        "insert into t select g, repeat('v', 60), g from generate_series(1, 60000) g; \
         insert into refers select g, g from generate_series(1, 100) g; insert into bare select 1, 'b' from generate_series(1, 10)",
    );
    for link in &chain.links {
        link.replay.run(&["add", "bare", "--identity", "full"]).ok();
        link.replay.run(&["add", "t", "refers"]).ok();
    }
    chain.wait_ok();
    chain.assert_followed(&[]);
    let before = chain.on(1, CATALOG);
    for how in [&["resync", "--all"][..], &["resync", "--all", "--swap"]] {
        // The middle node is made wrong, and the third one follows it there.
        chain.on(
            1,
            "set session_replication_role = replica; delete from t where id % 3 = 0; update t set v = 'wrong' where id % 3 = 1; \
             insert into t values (-1, 'wrong', 0); delete from refers where id = 1; delete from bare",
        );
        chain.links[1].sync();
        assert_eq!(
            chain.on(2, "select count(*) from t where v = 'wrong'"),
            "20001"
        );
        chain.links[0].replay.run(how).ok();
        chain.on(0, "update t set n = n + 1 where id < 100");
        chain.links[0].wait_ok();
        chain.assert_followed(&["stays in place"]);
        wait_until("the indexes to be back", SOON, || {
            chain.on(1, CATALOG) == before
        });
    }
    // The third node's tables were never parked or copied again: all of it came through the queue.
    assert_eq!(
        chain.on(2, "select max(copy_attempt) from trunkline.table_state"),
        "1"
    );
}

#[test]
fn schema_changes_and_partitions_pass_along_the_chain() {
    let chain = three();
    chain.start(
        "create table t (id int primary key, v text); \
         create table p (id int primary key, v text) partition by range (id); \
         create table p_1 partition of p for values from (0) to (100)",
    );
    chain.on(
        0,
        "insert into t values (1, 'a'); insert into p values (1, 'a')",
    );
    chain.add_all();
    // The subscriber's table is changed first, from below.
    for node in [2, 1, 0] {
        chain.on(
            node,
            "alter table t add column n int default 7; alter table t rename column v to w; \
             create table p_2 partition of p for values from (100) to (200)",
        );
    }
    chain.on(
        0,
        "insert into t values (2, 'b', 2); update t set n = n + 1; insert into p values (100, 'new'), (2, 'old')",
    );
    chain.assert_followed(&[]);
    // A partition that goes takes its rows along on all nodes, by one command on the first.
    chain.on(0, "alter table p detach partition p_2");
    chain.sync();
    assert_eq!(chain.on(1, "select count(*) from p"), "2");
    assert_eq!(chain.on(2, "select count(*) from p"), "2");
    for node in [2, 1] {
        chain.on(node, "alter table p detach partition p_2; drop table p_2");
    }
    chain.on(
        0,
        "drop table p_2; truncate t, p; insert into p values (5, 'x')",
    );
    chain.assert_followed(&[]);
    chain.assert_no_conflicts();
}

/// What capture of a table on the middle node is like: the triggers that fire for replay, those that do not, and the
/// jobs that write it.
const RELAYING: &str = "select count(*) filter (where tgenabled = 'A') || ' ' || count(*) filter (where tgenabled = 'O') || ' ' \
     || coalesce((select writers::text from trunkline.captured), '-') from pg_trigger \
     where tgrelid = 't'::regclass and not tgisinternal";

#[test]
fn relaying_begins_and_ends_under_load_and_no_hole_can_be_read() {
    let chain = three();
    chain.start("create table t (id bigserial primary key, v text)");
    let [upper, lower] = &chain.links[..] else {
        panic!("two jobs")
    };
    let writes: Writes = Arc::new(|random: &mut StdRng, _| {
        format!(
            "insert into t (v) values ('x'); update t set v = v || 'u' where id = {}; delete from t where id = {}",
            random.random_range(1..200),
            random.random_range(1..200)
        )
    });
    let load = Load::start(&chain.nodes[0], DB, 2, Duration::from_millis(3), &writes);
    // The third node comes first: what it follows is not written by replay yet.
    lower.replay.run(&["add", "t", "--wait", "120"]).ok();
    assert_eq!(chain.on(1, RELAYING), "0 4 {}");
    upper.replay.run(&["add", "t", "--truncate"]).ok();
    assert_eq!(chain.on(1, RELAYING), "4 0 {replay1}");
    for round in 0..3 {
        println!("round {round}");
        chain.wait_ok();
        load.wait_for_more(50);
        lower.replay.run(&["remove", "t"]).ok();
        assert_eq!(chain.on(1, RELAYING), "0 0 -");
        load.wait_for_more(50);
        lower.replay.run(&["add", "t", "--truncate"]).ok();
        assert_eq!(chain.on(1, RELAYING), "4 0 {replay1}");
    }
    chain.wait_ok();
    // The middle node ends its job, and others go on to follow it: its own sessions write from now on.
    assert_eq!(load.stop().errors, Vec::<String>::new());
    chain.assert_followed(&[]);
    chain.assert_no_conflicts();
    upper.replay.run(&["remove", "t"]).ok();
    wait_until("the triggers to be ordinary again", SOON, || {
        chain.on(1, RELAYING) == "0 4 {}"
    });
    chain.on(1, "insert into t (id, v) values (-1, 'own')");
    lower.sync();
    assert_eq!(chain.on(2, "select v from t where id = -1"), "own");
}

#[test]
fn a_third_node_that_was_restored_to_before_a_hole_does_not_read_over_it() {
    let chain = three();
    chain.start("create table t (id int primary key, v text)");
    chain.add_all();
    chain.on(0, "insert into t values (1, 'a')");
    chain.sync();
    let lower = &chain.links[1];
    lower.replay.kill9();
    // A backup of the third node. A consumer of its own keeps the queue for it.
    let tables = ["trunkline.position", "trunkline.table_state", "t"];
    for table in tables {
        let name = table.replace("trunkline.", "");
        chain.on(
            2,
            &format!(
                "create schema if not exists backup; create table backup.{name} as table {table}"
            ),
        );
    }
    let tick = chain.on(2, "select tick_id from trunkline.position");
    chain.on(
        1,
        &format!("select pgq.register_consumer_at('q1', 'keeper', {tick})"),
    );
    lower.replay.run(&["remove", "t"]).ok();
    chain.on(0, "insert into t values (2, 'in no event')");
    chain.links[0].sync();
    lower.replay.run(&["add", "t", "--expect-sync"]).ok();
    chain.on(0, "insert into t values (3, 'c')");
    chain.links[0].sync();
    chain.on(
        2,
        "begin; delete from trunkline.table_state; delete from trunkline.position; \
         insert into trunkline.position select * from backup.position; \
         insert into trunkline.table_state select * from backup.table_state; commit",
    );
    lower.replay.run(&["start", "-d"]).ok();
    wait_until("the table to be parked at the hole", SOON, || {
        chain
            .on(2, "select state || ' ' || error from trunkline.table_state")
            .contains("its capture was ended")
    });
    assert_eq!(chain.on(2, "select count(*) from t where id = 3"), "0");
    lower.replay.run(&["resync", "t"]).ok();
    chain.wait_ok();
    chain.sync();
    chain.assert_same();
}
