//! Roles of nodes: the fence that keeps writers out, and probes for machines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod copies;
mod edges;
mod fence;
mod meeting;
mod membership;
mod opening;
mod operations;
mod probes;
mod reach;
mod standby;
mod writers;

use std::time::Duration;

use tests::{Cluster, Node, Output, Replication};

/// Far above what anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// `trunkline` with the config file of a replication's ticker, whose database the provider is.
fn operator(replication: &Replication) -> Node {
    let config = &replication.ticker.config;
    Node::new("trunkline", &replication.scratch, config, "ticker1")
}

/// Runs SQL with psql, and gives the SQLSTATE of its error; `ok` if it has none.
fn sqlstate(cluster: &Cluster, dbname: &str, sql: &str) -> String {
    let Output { code, stderr, .. } = tests::run(cluster.client("psql", dbname).args([
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        "VERBOSITY=sqlstate",
        "-c",
        sql,
    ]));
    match (code, stderr.rsplit_once("ERROR:  ")) {
        (0, _) => "ok".to_owned(),
        (_, Some((_, state))) => state.trim().to_owned(),
        (_, None) => panic!("{sql}: {stderr}"),
    }
}

/// Fences queue q1, and gives the final tick.
#[track_caller]
fn fence(operator: &Node) -> i64 {
    let said = operator.run(&["fence", "q1", "--json"]).ok();
    let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["new"], true, "{said}");
    said["final_tick"].as_i64().unwrap()
}

/// Waits until the first subscriber has applied a tick, which shows all that was written before a fence.
fn wait_tick(replication: &Replication, tick: i64) {
    tests::wait_until("the final tick", SOON, || {
        let at = replication.on_subscriber("select tick_id from trunkline.position");
        at.parse::<i64>().unwrap() >= tick
    });
}
