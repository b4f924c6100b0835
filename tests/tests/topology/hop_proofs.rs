//! What proves that a subscriber's rows are those of another node at some tick: which ticks a node has stood at, and
//! which of its tables hold the rows of a node further up.

use tests::{compare, wait_until};

use crate::SOON;
use crate::link::{Chain, DB};
use crate::moving::{
    EXPECTED, between_two_ticks, chain, hop, hops, point, three, wait_hops, wait_known,
};

const TWO: &str = "create table t (id int primary key, v text); create table u (id int primary key, v text); \
    insert into t values (1, 'a'), (2, 'b'), (3, 'c'); insert into u select * from t";

/// Whether the last node knows a table by its number on the first node.
fn is_known(chain: &Chain, table: &str) -> bool {
    let of_table = format!("where table_name = '{table}'");
    chain.on(
        2,
        &format!("select origin_oids is not null from trunkline.table_state {of_table}"),
    ) == "t"
}

/// A table's state on a node's job.
fn state(chain: &Chain, node: usize, table: &str) -> String {
    let of_table = format!("where table_name = '{table}'");
    chain.on(
        node,
        &format!("select state || ' ' || needs_repair from trunkline.table_state {of_table}"),
    )
}

#[test]
fn a_tick_of_another_history_with_the_same_number_is_no_place_between_two_ticks() {
    let chain = chain(three(), TWO);
    between_two_ticks(&chain);
    // Just so stands who has applied a tick that is gone since the provider was restored from a backup.
    let moved = |by: i64| {
        let step = format!("update trunkline.position set tick_tag = tick_tag + {by}");
        chain.on(2, &step);
    };
    moved(1);
    chain.on(0, "delete from t where id = 100");
    chain.links[1].ticker.run(&["stop"]).ok();
    chain.links[0].replay.run(&["start", "-d"]).ok();
    chain.links[0].sync();
    let before = hops(&chain);
    point(&chain, 1);
    chain.links[1].replay.run(&["start", "-d"]);
    let log = || chain.links[1].replay.log();
    wait_until("replay to stop there", SOON, || {
        log().contains("it has never stood at tick")
    });
    assert_eq!(hops(&chain), before);
    assert_eq!(chain.on(2, "select v from t where id = 100"), "comes");
    chain.links[1].replay.run(&["stop"]).ok();
    moved(-1);
    chain.links[1].replay.run(&["start", "-d"]).ok();
    wait_hops(&chain, before + 1);
    chain.links[1].ticker.run(&["start", "-d"]).ok();
    chain.assert_followed(&[
        "subscriber stopped",
        "subscriber waits",
        "table tasks wait",
        "consumer left",
    ]);
    chain.assert_no_conflicts();
}

#[test]
fn ticks_that_nobody_can_come_from_are_forgotten() {
    let chain = chain(three(), TWO);
    for id in 10..14 {
        chain.on(0, &format!("insert into t values ({id}, 'x')"));
        chain.sync();
    }
    let kept = "select count(*) from trunkline.applied_tick";
    assert!(chain.on(1, kept).parse::<i64>().unwrap() > 3);
    assert_eq!(chain.on(2, kept), "0", "nobody follows the last node");
    let all = "select trunkline.forget_applied('replay1')";
    assert_eq!(
        chain.on(1, all),
        "0",
        "its queue has ticks from before all of them"
    );
    // Its queue has lost its older ticks.
    for link in &chain.links {
        link.replay.run(&["stop"]).ok();
        link.ticker.run(&["stop"]).ok();
    }
    chain.on(
        1,
        "select trunkline.tick_now('q1'); \
         delete from pgq.tick where tick_id < (select max(tick_id) from pgq.tick)",
    );
    chain.on(1, all);
    assert_eq!(
        chain.on(
            1,
            "select bool_and((a.epoch, a.tick_id, a.tick_tag) = (p.epoch, p.tick_id, p.tick_tag)) and count(*) = 1 \
               from trunkline.applied_tick a, trunkline.position p"
        ),
        "t",
        "the one that the last tick names"
    );
}

#[test]
fn a_table_that_the_node_in_between_does_not_replicate_any_more_is_not_taken_for_the_first_ones() {
    let chain = chain(three(), TWO);
    // Taken out and added again whole, it is the first node's again.
    let again = |lines: &[&str]| {
        chain.links[0].replay.run(&["remove", "public.t"]).ok();
        chain.links[1].sync();
        assert!(!is_known(&chain, "t"), "told in the order of the log");
        let add = [&["add", "public.t", "--truncate"], lines].concat();
        chain.links[0].replay.run(&add).ok();
        chain.links[0].wait_ok();
        chain.sync();
        chain.links[1].wait_ok();
    };
    again(&[]);
    wait_known(&chain);
    // A part of it is not. A replay that begins asks again.
    again(&["--where", "id < 3"]);
    chain.links[1].replay.run(&["restart"]).ok();
    chain.on(0, "update t set v = 'x' where id = 1; update u set v = 'x'");
    chain.sync();
    assert!(is_known(&chain, "u") && !is_known(&chain, "t"));
    // Nor is one that has been copied since.
    again(&[]);
    wait_known(&chain);
    chain.links[1].replay.run(&["pause"]).ok();
    chain.links[1].replay.run(&["resync", "public.t"]).ok();
    assert!(!is_known(&chain, "t"), "its rows are to be others");
    chain.links[0].replay.run(&["remove", "public.t"]).ok();
    chain.links[1].replay.run(&["resume"]).ok();
    chain.links[1].wait_ok();
    chain.links[1].sync();
    assert!(!is_known(&chain, "t"));
    chain.links[0]
        .replay
        .run(&["add", "public.t", "--truncate"])
        .ok();
    chain.links[0].wait_ok();
    chain.sync();
    chain.links[1].wait_ok();
    chain.links[0].replay.run(&["remove", "public.t"]).ok();
    chain.on(1, "insert into t values (900, 'own')");
    chain.links[1].sync();
    assert_eq!(chain.on(2, "select v from t where id = 900"), "own");
    assert!(is_known(&chain, "u") && !is_known(&chain, "t"));
    hop(&chain, 0);
    assert_eq!(state(&chain, 2, "t"), "parked true");
    assert_eq!(state(&chain, 2, "u"), "ok false");
    chain.links[1].replay.run(&["remove", "public.t"]).ok();
    let add = ["add", "public.t", "--truncate"];
    chain.links[1].replay.run(&add).ok();
    chain.links[1].wait_ok();
    chain.on(0, "insert into t values (5, 'e'); update u set v = 'x'");
    chain.links[1].sync();
    for table in ["public.t", "public.u"] {
        compare((&chain.nodes[0], DB), (&chain.nodes[2], DB), table).unwrap();
    }
}

#[test]
fn what_a_node_two_above_does_not_replicate_any_more_is_told_by_all_in_between() {
    let server = tests::Server::debian15();
    let four = (0..4).map(|_| tests::Cluster::builder(&server)).collect();
    let chain = Chain::make(four, false);
    chain.start(TWO);
    for link in &chain.links {
        link.replay.run(&["add", "--all", "--truncate"]).ok();
        link.wait_ok();
    }
    let known = |table: &str| {
        let of_table = format!("where table_name = '{table}'");
        chain.on(
            3,
            &format!("select coalesce(jsonb_array_length(origin_oids), 0) from trunkline.table_state {of_table}"),
        )
    };
    wait_until("the tables to be known two nodes further up", SOON, || {
        chain.on(0, "update u set v = v || '.'");
        chain.sync();
        known("t") == "2" && known("u") == "2"
    });
    chain.links[0].replay.run(&["remove", "public.t"]).ok();
    chain.on(1, "insert into t values (900, 'own')");
    for link in &chain.links[1..] {
        link.sync();
    }
    assert_eq!(chain.on(3, "select v from t where id = 900"), "own");
    assert_ne!(known("t"), "2", "the first node's table is another one");
    assert_eq!(known("u"), "2");
    wait_until("the second node's to be known again", SOON, || {
        known("t") == "1"
    });
}

#[test]
fn a_table_is_renamed_along_a_chain_and_each_row_is_passed_on() {
    let chain = chain(three(), TWO);
    let parked = |node: usize| {
        wait_until("the table to wait for its new name", SOON, || {
            state(&chain, node, "t") == "parked false"
        });
    };
    chain.on(
        0,
        "alter table t rename to t2; insert into t2 values (4, 'd')",
    );
    parked(1);
    chain.links[0].replay.run(&["stop"]).ok();
    chain.on(1, "alter table t rename to t2");
    // The ticker looks which jobs write the table, whose name is in none of their lists now.
    chain.on(1, "select * from trunkline.upkeep(true)");
    assert_eq!(
        chain.on(
            1,
            "select array_to_string(writers, ' ') from trunkline.captured where table_oid = 't2'::regclass"
        ),
        "replay1"
    );
    chain.links[0].replay.run(&["start", "-d"]).ok();
    chain.links[0].wait_ok();
    chain.on(0, "update t2 set v = 'x' where id = 1");
    parked(2);
    chain.on(2, "alter table t rename to t2");
    chain.wait_ok();
    chain.on(
        0,
        "delete from t2 where id = 2; insert into u values (6, 'f')",
    );
    chain.assert_followed(&["table parked"]);
    chain.assert_no_conflicts();
}

#[test]
fn a_table_whose_capture_passes_replay_by_is_not_written() {
    let chain = chain(three(), TWO);
    let switch = |how: &str| {
        // No event trigger of ours sees it.
        chain.on(
            1,
            &format!(
                "set session_replication_role = replica; \
                 do $$ declare v name; begin \
                     for v in select tgname from pg_trigger where tgrelid = 't'::regclass and tgname like 'trunkline_%' loop \
                         execute format('alter table t enable {how} trigger %I', v); \
                     end loop; end $$"
            ),
        );
    };
    // Replay's session has looked at the table, and is told nothing.
    chain.on(0, "update t set v = 'x' where id = 1");
    chain.sync();
    switch("");
    chain.on(0, "insert into t values (4, 'd')");
    wait_until("the table to be parked", SOON, || {
        state(&chain, 1, "t") == "parked false"
    });
    assert_eq!(chain.on(1, "select count(*) from t"), "3");
    switch("always");
    chain.links[0].wait_ok();
    // Who follows the table from there may have been told that its capture is broken, and the ticker may have seen it.
    wait_until("the row to be passed on, or the table parked", SOON, || {
        state(&chain, 2, "t") == "parked false" || chain.on(2, "select count(*) from t") == "4"
    });
    chain.links[1].replay.run(&["resync", "public.t"]).ok();
    chain.wait_ok();
    chain.assert_followed(&["table parked", "changes of a captured table may be missing"]);
    chain.assert_no_conflicts();
}

#[test]
fn a_standby_whose_move_waits_keeps_its_new_partitions_closed() {
    let chain = Chain::make(three(), false);
    let config = &chain.links[1].replay.config;
    let text = std::fs::read_to_string(config).unwrap();
    let lines = text.replace("[replay]\n", "[replay]\nstandby = true\n");
    assert_ne!(lines, text);
    std::fs::write(config, lines).unwrap();
    // A standby of the first node, which then moves to the one in between.
    point(&chain, 0);
    chain.start(
        "create table p (id int primary key, v text) partition by range (id); \
         create table p_1 partition of p for values from (0) to (100)",
    );
    for link in &chain.links {
        link.replay.run(&["add", "--all"]).ok();
        link.wait_ok();
    }
    chain.on(
        1,
        "select pgq.register_consumer('q1', 'keeper'); \
         select trunkline.add_table('q1', 'keeper', 'public', 'p')",
    );
    wait_until("the node in the middle to log the table", SOON, || {
        chain.on(
            1,
            "select logged_from is not null from trunkline.table_state",
        ) == "t"
    });
    chain.links[0].replay.run(&["pause"]).ok();
    wait_until("the node in the middle to pause", SOON, || {
        chain.links[0].replay.log().contains("paused=true")
    });
    chain.on(0, "insert into p values (3, 'c')");
    chain.links[1].sync();
    let before = hops(&chain);
    point(&chain, 1);
    chain.links[1].replay.run(&["restart"]);
    wait_until("replay to say that it waits", SOON, || {
        let log = chain.links[1].replay.log();
        log.contains("has no place for the subscriber yet")
    });
    chain.on(
        2,
        "begin read write; create table p_2 partition of p for values from (100) to (200); commit",
    );
    wait_until("the new partition to be closed", SOON, || {
        chain.on(
            2,
            "select count(*) from pg_trigger where tgname = 'deny_trunkline' and tgrelid = 'p_2'::regclass",
        ) == "1"
    });
    assert_eq!(hops(&chain), before);
    chain.links[0].replay.run(&["resume"]).ok();
    wait_hops(&chain, before + 1);
    chain.on(0, "update p set v = 'later'");
    chain.sync();
    compare((&chain.nodes[0], DB), (&chain.nodes[2], DB), "public.p").unwrap();
    assert_eq!(chain.links[1].unclean(&EXPECTED), Vec::<String>::new());
}
