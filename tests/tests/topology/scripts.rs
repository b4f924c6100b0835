//! Scripts of DDL, and columns by themselves, in a cascade: the node in the middle passes on what it has executed, and
//! what is not for it.

use tests::{Cluster, Server};

use crate::link::{Chain, DB};
use crate::set::{Hosts, NAMES, TABLE, command, wait_can};

#[test]
fn a_script_goes_down_a_chain_once_and_in_order_whether_the_node_in_the_middle_needs_it_or_not() {
    let server = Server::debian15();
    let chain = Chain::make((0..3).map(|_| Cluster::builder(&server)).collect(), false);
    for link in &chain.links {
        let config = std::fs::read_to_string(&link.replay.config).unwrap();
        std::fs::write(
            &link.replay.config,
            config + "allow_execute = true\nreplicate_ddl = \"columns\"\n",
        )
        .unwrap();
    }
    chain.start("create table t (id int primary key, v text, gone int)");
    chain.add_all();
    chain.on(2, "create schema down");
    // The last one has all of it as one batch.
    chain.links[1].replay.run(&["stop"]).ok();
    let dir = tests::Scratch::new();
    let execute = |name: &str, sql: &str, options: &[&str]| {
        let path = dir.file(name, sql);
        let args = ["execute", path.to_str().unwrap(), "--wait", "60"];
        chain.links[0].replay.run(&[&args, options].concat()).ok()
    };
    chain.on(
        0,
        "insert into t select g, 'old', g from generate_series(1, 50) g",
    );
    execute(
        "1",
        "alter table public.t add w int default 5; alter table public.t drop gone",
        &[],
    );
    chain.on(
        0,
        "update t set w = id where id > 25; insert into t values (51, 'new', 1)",
    );
    execute(
        "2",
        "--*-- Need-Schema: down\ncreate table down.made (n int); insert into down.made values (1)",
        &["--subscribers-only"],
    );
    execute("3", "alter table public.t rename v to name", &[]);
    chain.on(
        0,
        "delete from t where name = 'new'; insert into t values (52, 'last', 2)",
    );
    // Columns follow beside scripts, and each node goes by what it has: the last one has `gone` no more.
    chain.on(
        0,
        "alter table t add plain int default 3; alter table t alter id type bigint; \
         insert into t values (5000000000, 'plain', 4, 5)",
    );
    chain.links[1].replay.run(&["start", "-d"]).ok();
    chain.assert_followed(&[]);
    chain.assert_no_conflicts();
    let known =
        "select string_agg(script_id || ' ' || state, ', ' order by number) from trunkline.script";
    assert_eq!(chain.on(0, known), "1 done, 2 done, 3 done");
    assert_eq!(chain.on(1, known), "1 done, 2 ignored, 3 done");
    assert_eq!(chain.on(2, known), "1 done, 2 done, 3 done");
    assert_eq!(chain.on(2, "select count(*) from down.made"), "1");
    assert_eq!(
        chain.nodes[1].psql(DB, "select to_regclass('down.made') is null"),
        "t"
    );
}

#[test]
fn a_script_that_adds_what_it_makes_goes_on_after_a_promotion() {
    let hosts = Hosts::make(&[15; 2], "standby = true\nallow_execute = true", TABLE);
    hosts.replays[0].run(&["install", "--first"]).ok();
    for replay in &hosts.replays {
        replay.run(&["install"]).ok();
        replay.run(&["start", "-d"]).ok();
    }
    hosts.replays[1].run(&["add", "--all", "--wait"]).ok();
    let sql = "create table public.made (id int primary key); create sequence public.numbers";
    let path = hosts.scratches[0].file("make", sql);
    let execute = |node: usize| {
        let args = ["execute", path.to_str().unwrap(), "--add"];
        hosts.replays[node].run(&args).ok().stdout
    };
    let said = execute(1);
    assert!(said.contains("make: executed"), "{said}");
    hosts.replays[1].run(&["wait", "--timeout", "120"]).ok();
    // What the follower has made is noted there, too: it may be the provider one day.
    let made = "select consumer <> '' and made @> '[{\"kind\": \"table\", \"schema\": \"public\", \"name\": \"made\"}]' \
        and jsonb_array_length(made) = 2 from trunkline.script";
    assert_eq!(hosts.nodes[1].psql(DB, made), "t");

    wait_can(&hosts, 1);
    command(&hosts, 0)
        .run(&["switchover", "q1", "--to", NAMES[1]])
        .ok();
    hosts.on(1, "insert into made values (1)");
    hosts.replays[0].wait_level();
    let said = execute(0);
    for says in [
        "make: was executed on the provider already",
        "make: done on",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    hosts.replays[0].wait_level();
    assert_eq!(hosts.nodes[0].psql(DB, "select count(*) from made"), "1");
    let listed = hosts.replays[0]
        .run(&["execute", "--list", "--json"])
        .ok()
        .stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["at"], "provider", "{listed}");
    assert_eq!(listed[0]["state"], "done", "{listed}");
}
