//! A to B to C: copied, then followed under load while everything is killed, between versions, and by tables of other
//! owners.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tests::{Cluster, Load, Server, Transfers, Writes, choose};

use crate::link::{Chain, DB};

fn three() -> Vec<tests::ClusterBuilder> {
    let server = Server::debian15();
    (0..3)
        .map(|_| Cluster::builder(&server).durable())
        .collect()
}

/// Transfers of money, and a line in a journal that is only ever inserted to.
fn writes() -> Writes {
    let transfers = Transfers::writes();
    Arc::new(move |random, number| {
        format!(
            "{}; insert into journal (line) select '{number}.' || i from generate_series(1, {}) i",
            transfers(random, number),
            random.random_range(1..20)
        )
    })
}

#[test]
fn op_05_the_third_node_has_each_change_of_the_first_once_whoever_is_killed_on_the_way() {
    let mut random = StdRng::seed_from_u64(7);
    let chain = Chain::make(three(), false);
    for node in &chain.nodes {
        Transfers::create(node, DB);
    }
    chain.start("create table journal (id bigserial primary key, line text)");
    let load = Load::start(&chain.nodes[0], DB, 2, Duration::from_millis(5), &writes());
    // The last node copies while the one in the middle still copies itself.
    for link in &chain.links {
        link.replay.run(&["add", "--all", "--truncate"]).ok();
    }
    chain.wait_ok();
    // Without it a row that is applied twice would be refused; now it would show.
    chain.on(2, "alter table journal drop constraint journal_pkey");
    let reader = Transfers::read(&chain.nodes[2], DB);
    for round in 0..choose("kills", vec![(); 60], vec![(); 12]).len() {
        std::thread::sleep(Duration::from_millis(random.random_range(50..600)));
        let [upper, lower] = &chain.links[..] else {
            panic!("two jobs")
        };
        let victim = match round % 4 {
            0 => &upper.replay,
            1 => &lower.replay,
            2 => &lower.ticker,
            _ => {
                chain.nodes[1].kill9();
                chain.nodes[1].start_again();
                continue;
            }
        };
        victim.kill9();
        victim.run(&["start", "-d"]).ok();
    }
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    chain.sync();
    println!(
        "{} transactions, read {} times",
        totals.committed,
        reader.stop().unwrap()
    );
    chain.assert_same();
    assert_eq!(
        chain.on(2, "select count(*) - count(distinct id) from journal"),
        "0"
    );
    chain.assert_no_conflicts();
}

#[test]
fn op_05_a_chain_passes_on_what_every_statement_does_from_version_10_to_15_to_18() {
    let clusters = [10, 15, 18].map(|major| Cluster::builder(&Server::version(major)));
    let chain = Chain::make(clusters.into(), false);
    chain.start(
        "create table t (id int primary key, v text, n numeric, b bytea, a text[]); \
         create table pair (a int, b text, primary key (b, a)); \
         create table parted (id int, v text) partition by range (id); \
         create table parted_1 partition of parted for values from (0) to (100); \
         create table parted_2 partition of parted for values from (100) to (200); \
         create table base (id int primary key, v text); create table child (primary key (id)) inherits (base); \
         create sequence s",
    );
    // Version 10 has no keys of partitioned tables, so rows are told apart by all columns.
    chain.on(
        0,
        "insert into t select g, 'v' || g, g / 7.0, decode('00ff', 'hex'), '{x,NULL}' from generate_series(1, 1000) g; \
         insert into parted select g, 'p' from generate_series(0, 199) g; insert into child values (1, 'c')",
    );
    for link in &chain.links {
        link.replay
            .run(&["add", "parted", "--identity", "full", "--truncate"])
            .ok();
        link.replay
            .run(&["add", "t", "pair", "base", "child", "--truncate"])
            .ok();
        link.replay.run(&["add-seq", "--all"]).ok();
    }
    chain.wait_ok();
    for sql in [
        "update t set v = v || '!', a = a || 'y'::text where id <= 300",
        "update t set id = -id where id > 900",
        "delete from t where id between 400 and 500",
        "insert into t (id) values (1), (2000) on conflict (id) do update set v = 'again'",
        "begin; insert into pair values (1, 'x'); update pair set b = 'y'; insert into pair values (1, 'x'); commit",
        "truncate pair; insert into pair values (2, ''), (3, E'line\\nfeed')",
        "delete from parted where id < 10; insert into parted values (50, 'new'); truncate parted_2",
        "insert into parted values (150, 'after'); update parted set v = 'u' where id > 90",
        "insert into base values (2, 'b'); update base set v = 'all'; delete from child",
        "select nextval('s')",
    ] {
        chain.on(0, sql);
        // Each in a batch of its own, and some together: the middle node writes them in its different ways.
        if sql.starts_with("update") || sql.starts_with("truncate") {
            chain.sync();
        }
    }
    chain.assert_followed(&[]);
    chain.assert_no_conflicts();
}

#[test]
fn a_table_of_another_owner_in_the_middle_is_written_as_its_owner_and_passed_on() {
    let chain = Chain::make(three(), false);
    chain.start(
        "create table mine (id int primary key, v text); create table theirs (id int primary key, v text); \
         create table many (id int, v text, primary key (id)) partition by hash (id); \
         create table many_1 partition of many for values with (modulus 2, remainder 0); \
         create table many_2 partition of many for values with (modulus 2, remainder 1)",
    );
    chain.on(
        1,
        "create role app; alter table theirs owner to app; alter table many owner to app; \
         alter table many_1 owner to app; alter table many_2 owner to app; grant usage on schema public to app",
    );
    chain.add_all();
    chain.on(
        0,
        "insert into mine select g, 'v' from generate_series(1, 500) g; \
         insert into theirs select * from mine; insert into many select * from mine",
    );
    chain.sync();
    chain.on(
        0,
        "update theirs set v = 'u' where id < 9; update many set id = -id where id > 400; \
         delete from mine where id = 1; delete from theirs where id = 100; insert into theirs values (1000, null)",
    );
    chain.assert_followed(&[]);
    chain.assert_no_conflicts();
    // A copy is written in another way.
    chain.on(0, "truncate theirs; insert into theirs values (1, 'one')");
    for how in [
        &["resync", "theirs", "many", "--swap"][..],
        &["resync", "theirs", "many"],
    ] {
        chain.links[0].replay.run(how).ok();
        chain.links[0].wait_ok();
        chain.assert_followed(&[]);
    }
}
