//! The way back in is broken off at each of its steps: nothing is lost or doubled, and the end is the same.

use tests::{Cluster, Session, wait_until};

use crate::SOON;
use crate::rejoin::tells;
use crate::set::{DB, Hosts};

/// Waits until a session of replay on this node waits for a lock.
fn wait_stuck(node: &Cluster) {
    wait_until("replay to be held", SOON, || {
        let held = "select count(*) > 0 from pg_stat_activity \
                     where application_name like 'trunkline%' and wait_event_type = 'Lock'";
        node.psql(DB, held) == "t"
    });
}

/// The replay of the first node is killed where it waits for a lock on a node.
fn kill_where_it_waits_for(hosts: &Hosts, node: usize, lock: &str) {
    let held = Session::holding(&hosts.nodes[node], DB, lock);
    std::thread::scope(|scope| {
        // It waits for a daemon that does not come as far as this.
        scope.spawn(|| hosts.replays[0].run(&["start", "-d"]));
        wait_stuck(&hosts.nodes[node]);
        hosts.replays[0].kill9();
    });
    drop(held);
    // The server rolls back what the killed process had begun.
    wait_until("its sessions to end", SOON, || {
        let there =
            "select count(*) from pg_stat_activity where application_name like 'trunkline%castor%'";
        hosts.nodes.iter().all(|node| node.psql(DB, there) == "0")
    });
}

#[test]
fn killed_at_each_step_the_way_back_loses_nothing_and_ends_in_the_same_state() {
    let hosts = Hosts::cut(&[15, 15]);
    hosts.fail_over(0, 1);
    hosts.on(
        0,
        "insert into t values (100, 'lost', 100); update t set v = 'lost' where id < 4; \
         delete from t where id = 10; update t set id = 500 where id = 20; insert into calm values (90, 'lost')",
    );
    hosts.on(
        1,
        "insert into t values (100, 'new', 101); update t set v = 'new' where id in (3, 10, 20)",
    );
    hosts.replays[1].run(&["start", "-d"]).ok();
    let files = || {
        let names = std::fs::read_dir(hosts.scratches[0].path().join("lost")).map(|files| {
            files
                .filter(|file| {
                    let name = file.as_ref().unwrap().file_name();
                    name.to_string_lossy().starts_with("q1-")
                })
                .count()
        });
        names.unwrap_or(0)
    };
    // While they are stored here: not a file has a name yet.
    kill_where_it_waits_for(
        &hosts,
        0,
        "lock table trunkline.lost_change in exclusive mode",
    );
    assert_eq!((files(), hosts.lost(0).as_str()), (0, ""));
    // While the event is written: the files are there, and will be replaced.
    kill_where_it_waits_for(&hosts, 0, "lock table trunkline.event in exclusive mode");
    assert_eq!(hosts.lost(0), "");
    // While the provider stores them.
    kill_where_it_waits_for(
        &hosts,
        1,
        "lock table trunkline.lost_change in exclusive mode",
    );
    assert_eq!(hosts.lost(1), "");
    // While it is noted that the provider has them.
    kill_where_it_waits_for(&hosts, 0, "lock table trunkline.lost in exclusive mode");
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.wait_lost(0);
    let lost = hosts.lost(0);
    assert_eq!(lost.split(',').count(), 8, "{lost}");
    assert_eq!(hosts.lost(1), lost);
    assert_eq!(files(), 2);
    let told = "select count(*) from trunkline.event where event = 'lost_changes'";
    assert_eq!(hosts.on(0, told), "1");
    hosts.replays[0].run(&["stop"]).ok();

    // The command is one transaction, and needs no daemon.
    let held = Session::holding(
        &hosts.nodes[0],
        DB,
        "lock table trunkline.role in share mode",
    );
    hosts.replays[0]
        .run(&["rejoin", "--yes"])
        .code(3)
        .says(&["is being used"]);
    drop(held);
    assert_eq!(hosts.role(0), "fenced 1");
    tells(
        &hosts.replays[0].run(&["rejoin", "--yes"]).ok(),
        &["joined"],
    );
    hosts.wait_role(0, "standby 2");
    let keys = "select count(*) from trunkline.repair_key where table_name = 't'";
    let rows =
        "select string_agg(id || v, ',' order by id) from t where id in (1, 3, 10, 20, 100, 500)";
    let before = hosts.on(0, rows);
    for (node, lock) in [
        (0, "lock table trunkline.left_upstream in exclusive mode"),
        (1, "lock table pgq.subscription in share mode"),
        (0, "lock table trunkline.table_state in share mode"),
        (1, "lock table t in access exclusive mode"),
        (0, "lock table t in share mode"),
        (0, "lock table trunkline.repair_key in exclusive mode"),
    ] {
        kill_where_it_waits_for(&hosts, node, lock);
        assert_eq!(hosts.on(0, keys), "7", "{lock}");
        assert_eq!(hosts.on(0, rows), before, "{lock}");
    }
    hosts.on(1, "update t set v = v || '.' where id < 30");
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.assert_same_as(1, 0);
    assert_eq!(
        hosts.on(0, "select count(*) from trunkline.repair_key"),
        "0"
    );
    let log = hosts.replays[0].log();
    assert!(
        !log.contains("table copied") && !log.contains("table parked"),
        "{log}"
    );
    assert_eq!(hosts.on(0, "select count(*) from trunkline.conflict"), "0");
    // Nobody holds the queue of a node that is not read.
    wait_until("consumers to be ended", SOON, || {
        hosts.on(0, "select count(*) from pgq.subscription") == "0"
    });
}
