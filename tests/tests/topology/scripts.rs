//! Scripts of DDL in a cascade: the node in the middle passes on what it has executed, and what is not for it.

use tests::{Cluster, Server};

use crate::link::{Chain, DB};

#[test]
fn a_script_goes_down_a_chain_once_and_in_order_whether_the_node_in_the_middle_needs_it_or_not() {
    let server = Server::debian15();
    let chain = Chain::make((0..3).map(|_| Cluster::builder(&server)).collect(), false);
    for link in &chain.links {
        let config = std::fs::read_to_string(&link.replay.config).unwrap();
        std::fs::write(&link.replay.config, config + "allow_execute = true\n").unwrap();
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
