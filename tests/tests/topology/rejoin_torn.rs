//! A line that is cut and heals: two nodes take writes at the same time, and a third one follows the later provider.

use std::thread;

use tests::wait_until;

use crate::SOON;
use crate::rejoin::tells;
use crate::set::{DB, Hosts};

/// Transactions that each node takes while the line is cut.
const WRITES: u32 = 45;

/// Writes to one node as an application does; gives the keys that it has heard to be committed.
fn write(hosts: &Hosts, node: usize, who: &str) -> Vec<u32> {
    let keys = (0..WRITES).filter(|number| {
        let (key, unique) = (1_000 + number, 1_000 + 2 * number);
        let sql = format!(
            "insert into t values ({key}, '{who}', {unique}); update t set v = '{who}' where id = {number} + 1; \
             insert into calm values ({key}, '{who}')"
        );
        hosts.nodes[node].try_psql(DB, &sql).code == 0
    });
    keys.map(|number| 1_000 + number).collect()
}

#[test]
fn of_two_nodes_that_took_writes_at_once_the_stale_one_is_fenced_and_each_of_its_writes_is_kept() {
    let hosts = Hosts::cut(&[10, 18, 15]);
    hosts.fail_over(0, 1);
    let (lost, taken) = thread::scope(|scope| {
        let there = scope.spawn(|| write(&hosts, 0, "lost"));
        let here = scope.spawn(|| write(&hosts, 1, "new"));
        let some = "select count(*) > 5 from t where v = 'lost'";
        wait_until("the stale provider to have written", SOON, || {
            hosts.nodes[0].psql(DB, some) == "t"
        });
        hosts.replays[2].run(&["start", "-d"]).ok();
        (there.join().unwrap(), here.join().unwrap())
    });
    // The third node meets the stale provider, too, and fences it: from then on it takes no more.
    assert!(
        !lost.is_empty() && taken.len() == WRITES as usize,
        "{lost:?}"
    );
    for replay in &hosts.replays[..2] {
        replay.run(&["start", "-d"]).ok();
    }
    hosts.wait_lost(0);
    let kept = "select string_agg(key_text, ',' order by key_text::int) from trunkline.lost_change \
                 where table_name = 't' and change in ('insert', 'live') and key_text::int >= 1000";
    let acknowledged: Vec<String> = lost.iter().map(u32::to_string).collect();
    for node in [0, 1] {
        assert_eq!(hosts.on(node, kept), acknowledged.join(","));
    }
    assert_eq!(hosts.on(2, "select count(*) from trunkline.lost"), "0");
    let ahead = "select count(*) > 0 from trunkline.event where event = 'ahead'";
    wait_until("the event", SOON, || hosts.on(0, ahead) == "t");
    // Only the node that is ahead may come back.
    hosts.replays[1]
        .run(&["rejoin", "--yes"])
        .code(3)
        .says(&["this database is provider"]);
    tells(
        &hosts.replays[2].run(&["rejoin", "--yes"]).ok(),
        &["nothing to be given up"],
    );
    hosts.replays[0].run(&["rejoin", "--yes"]).ok();
    for node in [0, 2] {
        hosts.assert_same_as(1, node);
    }
    wait_until("a repair by keys", SOON, || {
        hosts.log_has(0, "table repaired by keys")
    });
    assert!(!hosts.log_has(0, "table copied") && !hosts.log_has(0, "table parked"));
    let own = "select count(*) from t where v = 'lost'";
    assert_eq!(hosts.on(0, own), "0");
}
