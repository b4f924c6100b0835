//! A node of a set takes our objects out: it refuses nothing any more.

use crate::set::{DB, Hosts, TABLE};

#[test]
fn a_standby_that_leaves_takes_writes_and_a_provider_of_a_set_is_not_taken_out_by_mistake() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLE);
    hosts.wait_ready(1);
    for node in [0, 1] {
        hosts.replays[node].run(&["stop"]).ok();
    }
    hosts.replays[0]
        .run(&["uninstall"])
        .code(3)
        .says(&["is provider of set q1"]);
    let write = "insert into t values (7, 'x')";
    hosts.nodes[1].try_psql(DB, write).code(1);
    hosts.replays[1]
        .run(&["uninstall"])
        .code(5)
        .says(&["ticker stop"]);
    // Nothing has gone before it was refused.
    assert_eq!(hosts.on(1, "select count(*) from trunkline.position"), "1");
    hosts.tickers[1].run(&["stop"]).ok();
    let said = hosts.replays[1].run(&["uninstall"]).ok();
    assert!(
        said.stdout.contains("nothing of ours is left"),
        "{}",
        said.stdout
    );
    hosts.nodes[1].psql(DB, write);
    hosts.nodes[0].psql(DB, write);
    hosts.replays[0]
        .run(&["uninstall", "--provider"])
        .code(3)
        .says(&["is provider of set q1"]);
    hosts.replays[0]
        .run(&["uninstall", "--force"])
        .code(5)
        .says(&["ticker stop"]);
}
