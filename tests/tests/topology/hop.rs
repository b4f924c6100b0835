//! The last node of a chain moves to another node and back, without a copy (T-CA-3): what was applied before stays, and
//! each change that follows comes once.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use tests::{Load, Transfers, Writes, digest, wait_until};

use crate::SOON;
use crate::link::{Chain, DB};
use crate::moving::{
    EXPECTED, between_two_ticks, chain, copies, hop, is_registered, keep_logging, last_hop,
    move_into_the_middle, three, wait_known,
};

#[test]
fn the_last_node_moves_up_and_back_under_load_without_a_copy() {
    let chain = Chain::make(three(), false);
    for node in &chain.nodes {
        Transfers::create(node, DB);
    }
    chain.start("create table journal (id bigserial primary key, line text)");
    for link in &chain.links {
        link.replay.run(&["add", "--all", "--truncate"]).ok();
        link.wait_ok();
    }
    keep_logging(&chain);
    wait_known(&chain);
    // Without it a row that is applied twice would be refused; now it would show.
    chain.on(2, "alter table journal drop constraint journal_pkey");
    let transfers = Transfers::writes();
    let writes: Writes = Arc::new(move |random, number| {
        let lines = random.random_range(1..20);
        format!(
            "{}; insert into journal (line) select '{number}.' || i from generate_series(1, {lines}) i",
            transfers(random, number)
        )
    });
    let load = Load::start(&chain.nodes[0], DB, 2, Duration::from_millis(3), &writes);
    let reader = Transfers::read(&chain.nodes[2], DB);
    let copied = copies(&chain);
    for to in [0, 1, 0, 1, 0] {
        load.wait_for_more(100);
        hop(&chain, to);
        println!("{}", last_hop(&chain));
        let left = 1 - to;
        wait_until("the provider before to be told", SOON, || {
            !is_registered(&chain, left)
        });
        assert!(is_registered(&chain, to));
    }
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    println!(
        "{} transactions, read {} times",
        totals.committed,
        reader.stop().unwrap()
    );
    chain.assert_followed(&EXPECTED);
    chain.assert_no_conflicts();
    assert_eq!(copies(&chain), copied);
    assert_eq!(
        chain.on(2, "select count(*) - count(distinct id) from journal"),
        "0"
    );
    assert_eq!(
        chain.on(2, "select count(*) from trunkline.left_upstream"),
        "0"
    );
}

#[test]
fn from_a_dead_node_the_last_one_goes_on_at_the_first_and_the_dead_one_is_told_when_it_is_back() {
    let chain = chain(three(), "create table t (id int primary key, v text)");
    chain.on(
        0,
        "insert into t select i, 'a' from generate_series(1, 100) i",
    );
    chain.sync();
    let copied = copies(&chain);
    chain.nodes[1].kill9();
    chain.on(
        0,
        "update t set v = 'b' where id % 3 = 0; delete from t where id % 5 = 0",
    );
    hop(&chain, 0);
    chain.links[1].sync();
    assert_eq!(
        digest(&chain.nodes[0], DB, "public.t"),
        digest(&chain.nodes[2], DB, "public.t")
    );
    // Nobody looks away from what is left over.
    wait_until("the consumer to be told of", SOON, || {
        chain.links[1]
            .replay
            .log()
            .contains("consumer left at the provider before")
    });
    let status = chain.links[1].replay.run(&["status"]).ok().stdout;
    let port = format!("port='{}'", chain.nodes[0].port());
    assert!(
        status.contains("follows ") && status.contains(&port),
        "{status}"
    );
    assert!(
        status.contains("left, and may keep events for it"),
        "{status}"
    );
    chain.nodes[1].start_again();
    wait_until("the dead node to be told", SOON, || {
        !is_registered(&chain, 1)
    });
    wait_until("the note to be gone", SOON, || {
        chain.on(2, "select count(*) from trunkline.left_upstream") == "0"
    });
    chain.assert_followed(&[
        "subscriber waits",
        "table tasks wait",
        "waits for",
        "consumer left",
        "failed",
        "connection",
    ]);
    chain.assert_no_conflicts();
    assert_eq!(copies(&chain), copied);
}

#[test]
fn a_row_that_came_and_went_between_two_ticks_is_gone_after_a_move_between_them() {
    let chain = chain(
        three(),
        "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')",
    );
    between_two_ticks(&chain);
    // A tick of its own each; the node in the middle applies them later, all at once if it may.
    for sql in [
        "delete from t where id = 100",
        "update t set v = 'y' where id = 1",
        "insert into t values (4, 'd')",
        "update t set id = 5 where id = 4; delete from t where id = 2",
    ] {
        chain.on(0, sql);
        let ticked = chain.on(0, "select pgq.force_tick('q1')");
        wait_until("a tick", SOON, || {
            chain.on(0, "select max(tick_id) from pgq.tick") != ticked
        });
    }
    move_into_the_middle(&chain);
    assert!(
        last_hop(&chain).contains("once_more=true"),
        "{}",
        last_hop(&chain)
    );
    chain.on(0, "update t set v = 'later' where id = 3");
    chain.assert_followed(&EXPECTED);
    chain.assert_no_conflicts();
}

#[test]
fn a_place_that_a_tick_names_is_found_exactly_and_nothing_is_applied_once_more() {
    let chain = chain(three(), "create table t (id int primary key, v text)");
    hop(&chain, 0);
    chain.on(0, "insert into t values (1, 'a')");
    chain.sync();
    // A node in the middle that lags takes two ticks in one batch, and the place between them is none of its own.
    chain.links[0].ticker.run(&["stop"]).ok();
    wait_until("both readers to be at the last tick", SOON, || {
        chain.on(
            0,
            "select bool_and(sub_last_tick = (select max(tick_id) from pgq.tick)) and count(*) = 2 \
               from pgq.subscription",
        ) == "t"
    });
    hop(&chain, 1);
    assert!(
        last_hop(&chain).contains("once_more=false"),
        "{}",
        last_hop(&chain)
    );
    chain.links[0].ticker.run(&["start", "-d"]).ok();
    chain.on(
        0,
        "insert into t values (2, 'b'); update t set v = 'c' where id = 1",
    );
    chain.assert_followed(&EXPECTED);
    chain.assert_no_conflicts();
}

#[test]
fn tables_whose_changes_cannot_be_applied_once_more_wait_for_an_operator() {
    let chain = Chain::make(three(), false);
    chain.start(
        "create table t (id int primary key, v text); create table heap (v text); \
         create table log (line text); create table still (v text); \
         insert into t values (1, 'a')",
    );
    for link in &chain.links {
        link.replay.run(&["add", "public.t", "--truncate"]).ok();
        link.replay
            .run(&["add", "public.heap", "--identity", "full"])
            .ok();
        link.replay
            .run(&["add", "public.still", "--identity", "full"])
            .ok();
        link.replay
            .run(&["add", "public.log", "--identity", "insert-only"])
            .ok();
        link.wait_ok();
    }
    keep_logging(&chain);
    wait_known(&chain);
    between_two_ticks(&chain);
    chain.on(
        0,
        "delete from t where id = 100; insert into heap values ('h'); insert into log values ('l')",
    );
    move_into_the_middle(&chain);
    let state = |table: &str| {
        chain.on(
            2,
            &format!(
                "select concat_ws(' ', state, needs_repair::text, error) from trunkline.table_state \
                  where table_name = '{table}'"
            ),
        )
    };
    assert_eq!(state("t"), "ok false");
    assert_eq!(state("still"), "ok false");
    for table in ["heap", "log"] {
        assert!(
            state(table).starts_with("parked true needs repair"),
            "{}",
            state(table)
        );
    }
    // It is not tried again by itself, and says what to do.
    chain.links[1]
        .replay
        .run(&["resume", "public.heap"])
        .says(&["needs repair", "replay resync"]);
    chain.links[1]
        .replay
        .run(&["resync", "public.heap", "public.log"])
        .ok();
    chain.links[1].wait_ok();
    chain.on(
        0,
        "insert into heap values ('h'), ('i'); delete from heap where v = 'h'; \
         insert into log values ('m'); insert into still values ('s')",
    );
    chain.assert_followed(&[
        "subscriber waits",
        "table tasks wait",
        "consumer left",
        "table parked",
    ]);
    chain.assert_no_conflicts();
}
