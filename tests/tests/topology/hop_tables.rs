//! What becomes of single tables when a subscriber moves: of other names, with filters and lists of columns, parked, in
//! the middle of a copy, or unknown to the new provider.

use tests::{Cluster, Server, Session, wait_until};

use crate::SOON;
use crate::link::{Chain, DB};
use crate::moving::{
    EXPECTED, between_two_ticks, copies, hop, hops, is_registered, keep_logging,
    move_into_the_middle, point, three, wait_known,
};

fn is(chain: &Chain, first: &str, last: &str) {
    assert_eq!(chain.on(0, first), chain.on(2, last));
}

#[test]
fn names_filters_and_columns_of_each_node_are_its_own() {
    let chain = Chain::make(three(), false);
    chain.on(
        0,
        "create table t (id int primary key, v text, w int, x text)",
    );
    // The same columns have other numbers on each node.
    chain.on(
        1,
        "create schema mid; create table mid.t2 (gone int, x text, id int primary key, w int, v text); \
         alter table mid.t2 drop gone",
    );
    chain.on(
        2,
        "create schema low; create table low.t3 (w int, v text, id int primary key)",
    );
    chain.on(
        0,
        "insert into t select i, 'v' || i, i % 10, 'x' from generate_series(1, 50) i",
    );
    for link in &chain.links {
        link.start();
    }
    chain.links[0]
        .replay
        .run(&["add", "public.t", "--as", "mid.t2"])
        .ok();
    chain.links[0].wait_ok();
    let add = [
        "add",
        "mid.t2",
        "--as",
        "low.t3",
        "--columns",
        "id,v,w",
        "--where",
        "w > 3",
    ];
    chain.links[1].replay.run(&add).ok();
    chain.links[1].wait_ok();
    keep_logging(&chain);
    wait_known(&chain);
    let all = "select id, v, w from public.t where w > 3 order by id";
    let rows = "select id, v, w from low.t3 order by id";
    is(&chain, all, rows);
    // A column that the filter reads has another name by now, on all nodes.
    for (node, table) in [(2, ""), (1, "mid.t2"), (0, "public.t")] {
        if !table.is_empty() {
            chain.on(node, &format!("alter table {table} rename v to label"));
            chain.on(node, &format!("alter table {table} rename w to weight"));
        } else {
            chain.on(
                node,
                "alter table low.t3 rename v to label; alter table low.t3 rename w to weight",
            );
        }
    }
    chain.on(0, "update t set weight = 9 where id <= 5");
    let all = "select id, label, weight from public.t where weight > 3 order by id";
    let rows = "select id, label, weight from low.t3 order by id";
    wait_until("the new names to be followed", SOON, || {
        chain.on(0, all) == chain.on(2, rows)
    });
    chain.links[0].wait_ok();
    chain.links[1].wait_ok();
    chain.sync();
    let copied = copies(&chain);
    for (to, value) in [(0, "up"), (1, "back")] {
        wait_until("the node in the middle to be in step", SOON, || {
            chain.on(2, "select origins is not null from trunkline.position") == "t" || to == 1
        });
        hop(&chain, to);
        chain.on(
            0,
            &format!("update t set label = '{value}', weight = weight + 1 where id % 2 = 0"),
        );
        chain.on(
            0,
            "update t set weight = 0 where id % 9 = 0; delete from t where id % 13 = 0",
        );
        chain.on(
            0,
            &format!("insert into t values (100 + length('{value}'), '{value}', 7, 'x')"),
        );
        chain.sync();
        is(&chain, all, rows);
    }
    assert_eq!(copies(&chain), copied);
    assert_eq!(
        chain.on(2, "select sum(conflicts) from trunkline.position"),
        "0"
    );
}

#[test]
fn a_parked_table_and_one_that_the_provider_does_not_have_are_told_and_the_others_go_on() {
    let chain = Chain::make(three(), false);
    chain.start(
        "create table t (id int primary key, v text); create table u (id int primary key, v text)",
    );
    chain.on(1, "create table own (id int primary key, v text)");
    chain.on(2, "create table own (id int primary key, v text)");
    chain.on(
        0,
        "insert into t values (1, 'a'); insert into u values (1, 'a')",
    );
    for link in &chain.links {
        link.replay.run(&["add", "--all", "--truncate"]).ok();
        link.wait_ok();
    }
    keep_logging(&chain);
    wait_until("the tables to be known further up", SOON, || {
        chain.on(
            2,
            "select count(*) from trunkline.table_state where origin_oids is not null",
        ) == "2"
    });
    chain.on(
        2,
        "alter table u add constraint short check (length(v) < 5)",
    );
    chain.on(0, "insert into u values (2, 'too long')");
    let state = |table: &str| {
        let of_table = format!("where table_name = '{table}'");
        chain.on(
            2,
            &format!("select state || ' ' || needs_repair from trunkline.table_state {of_table}"),
        )
    };
    wait_until("the table to be parked", SOON, || {
        state("u") == "parked false"
    });
    chain.on(
        0,
        "insert into u values (3, 'b'); insert into t values (2, 'b')",
    );
    wait_until("the other table to go on", SOON, || {
        chain.on(2, "select count(*) from t") == "2"
    });
    let copied = copies(&chain);
    hop(&chain, 0);
    assert_eq!(state("t"), "ok false");
    assert_eq!(state("own"), "parked true");
    chain.on(
        0,
        "update u set v = 'c' where id = 3; insert into t values (3, 'c')",
    );
    chain.on(2, "alter table u drop constraint short");
    wait_until("the parked table to catch up", SOON, || {
        state("u") == "ok false"
    });
    // `wait` would say that one table is parked for good.
    wait_until("both to be level", SOON, || {
        chain.on(
            2,
            "select (select v from u where id = 3) || count(*) from t",
        ) == "c3"
    });
    for table in ["t", "u"] {
        let rows = format!("select * from {table} order by id");
        is(&chain, &rows, &rows);
    }
    assert_eq!(copies(&chain), copied);
    assert_eq!(
        chain.on(2, "select sum(conflicts) from trunkline.position"),
        "0"
    );
}

#[test]
fn a_table_that_is_parked_between_two_ticks_catches_up_from_there() {
    let chain = crate::moving::chain(
        three(),
        "create table t (id int primary key, v text); create table u (id int primary key, v text); \
         insert into t values (1, 'a'); insert into u values (1, 'a'), (2, 'b')",
    );
    hop(&chain, 0);
    chain.sync();
    chain.links[0].replay.run(&["stop"]).ok();
    chain.on(
        0,
        "insert into u values (100, 'comes'); insert into t values (100, 'comes')",
    );
    chain.links[1].sync();
    chain.on(
        2,
        "alter table u add constraint short check (length(v) < 6)",
    );
    chain.on(0, "update u set v = 'too long' where id = 1; delete from u where id = 100; delete from t where id = 100");
    wait_until("the table to be parked", SOON, || {
        chain.on(
            2,
            "select state from trunkline.table_state where table_name = 'u'",
        ) == "parked"
    });
    wait_until("the other table to go on", SOON, || {
        chain.on(2, "select count(*) from t where id = 100") == "0"
    });
    chain.links[1].replay.run(&["stop"]).ok();
    chain.on(0, "update t set v = 'x' where id = 1");
    let copied = copies(&chain);
    move_into_the_middle(&chain);
    chain.on(2, "alter table u drop constraint short");
    chain.links[1].wait_ok();
    chain.on(0, "update u set v = 'y' where id = 2");
    chain.assert_followed(&[
        "subscriber waits",
        "table tasks wait",
        "consumer left",
        "table parked",
    ]);
    chain.assert_no_conflicts();
    assert_eq!(copies(&chain), copied);
}

#[test]
fn a_table_that_came_to_the_new_provider_later_needs_repair_and_a_copy_under_way_begins_anew() {
    let chain = crate::moving::chain(
        three(),
        "create table t (id int primary key, v text); insert into t values (1, 'a')",
    );
    hop(&chain, 0);
    // The last node has this table, and the one in the middle does not yet.
    chain.everywhere("create table late (id int primary key, v text)");
    chain.on(0, "insert into late values (1, 'a')");
    chain.links[1].replay.run(&["add", "public.late"]).ok();
    chain.links[1].wait_ok();
    chain.links[1].sync();
    chain.links[1].replay.run(&["stop"]).ok();
    // A third one has not got further than the beginning of its copy.
    chain.everywhere("create table slow (id int primary key, v text)");
    chain.on(
        0,
        "insert into slow select i, 'v' from generate_series(1, 1000) i",
    );
    chain.links[0].replay.run(&["add", "public.slow"]).ok();
    chain.links[0].wait_ok();
    chain.on(
        1,
        "select trunkline.add_table('q1', 'keeper', 'public', 'slow')",
    );
    chain.links[1].replay.run(&["add", "public.slow"]).ok();
    let held = Session::holding(&chain.nodes[2], DB, "lock table slow in share mode");
    chain.links[1].replay.run(&["start", "-d"]).ok();
    wait_until("the copy to begin", SOON, || {
        chain.on(
            2,
            "select state from trunkline.table_state where table_name = 'slow'",
        ) == "in-copy"
    });
    chain.links[1].replay.kill9();
    drop(held);
    // The copy of the node in the middle has a row that the last one lacks, and that no event brings.
    chain.on(0, "insert into late values (2, 'b')");
    chain.links[0].replay.run(&["add", "public.late"]).ok();
    chain.links[0].wait_ok();
    chain.on(
        1,
        "select trunkline.add_table('q1', 'keeper', 'public', 'late')",
    );
    wait_until("the node in the middle to log all tables", SOON, || {
        chain.on(
            1,
            "select bool_and(logged_from is not null) from trunkline.table_state",
        ) == "t"
    });
    chain.links[0].sync();
    let before = hops(&chain);
    point(&chain, 1);
    chain.links[1].replay.run(&["start", "-d"]).ok();
    crate::moving::wait_hops(&chain, before + 1);
    let state = |table: &str| {
        let of_table = format!("where table_name = '{table}'");
        chain.on(
            2,
            &format!("select state || ' ' || needs_repair from trunkline.table_state {of_table}"),
        )
    };
    assert_eq!(state("late"), "parked true");
    wait_until("the copy to be made of the new provider", SOON, || {
        state("slow") == "ok false"
    });
    chain.links[1]
        .replay
        .run(&["resync", "public.late", "--swap"])
        .ok();
    chain.links[1].wait_ok();
    chain.on(
        0,
        "insert into late values (3, 'c'); update slow set v = 'w' where id % 3 = 0",
    );
    chain.assert_followed(&[
        "subscriber waits",
        "table tasks wait",
        "consumer left",
        "table parked",
        "table's task waits",
    ]);
    chain.assert_no_conflicts();
}

#[test]
fn nodes_of_several_versions_move_alike() {
    for versions in [[10, 15, 18], [18, 10, 15]] {
        let clusters = versions.map(|version| Cluster::builder(&Server::version(version)));
        let chain = crate::moving::chain(
            clusters.into(),
            "create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')",
        );
        let copied = copies(&chain);
        between_two_ticks(&chain);
        chain.on(
            0,
            "delete from t where id = 100; insert into t values (3, 'c')",
        );
        move_into_the_middle(&chain);
        assert!(is_registered(&chain, 1));
        chain.on(0, "update t set v = 'y' where id = 3");
        chain.assert_followed(&EXPECTED);
        chain.assert_no_conflicts();
        assert_eq!(copies(&chain), copied, "{versions:?}");
    }
}
