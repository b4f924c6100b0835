//! A standby that has applied more of a former provider's log than the later provider has begun with, as after a
//! failover in another part of a net that was torn: it waits for the former provider, and goes back.

use tests::{Stop, wait_until};

use crate::SOON;
use crate::set::{DB, Hosts};

/// The node knows why it waits.
fn waits(hosts: &Hosts, node: usize) -> bool {
    let why = "select coalesce(last_error, '') from trunkline.position";
    hosts
        .on(node, why)
        .contains("the later provider begins after tick")
}

#[test]
fn a_standby_with_changes_that_the_later_provider_never_had_waits_for_them_and_goes_back() {
    let hosts = Hosts::cut(&[15, 18, 10]);
    // Castor and helen are in one part of the net, pollux in the other one.
    for node in [0, 2] {
        hosts.replays[node].run(&["start", "-d"]).ok();
    }
    hosts.on(
        0,
        "update t set id = id + 1000, v = 'lost' where id between 10 and 12; delete from t where id = 20; \
         insert into t values (100, 'lost', 100); update t set u = 200 where id = 30; \
         truncate wiped; insert into log values (7, 'lost')",
    );
    hosts.on(0, "update t set v = 'lost' where id = 31");
    hosts.assert_same(2);
    hosts.replays[0].run(&["stop"]).ok();
    hosts.nodes[0].stop(Stop::Immediate);
    hosts.fail_over(0, 1);
    hosts.on(
        1,
        "insert into t values (100, 'new', 300); update t set v = 'new' where id = 31; delete from t where id = 11; \
         insert into calm values (60, 'new')",
    );
    hosts.replays[1].run(&["start", "-d"]).ok();
    // Helen may be the only one that has the changes: she keeps them.
    wait_until("helen to wait", SOON, || waits(&hosts, 2));
    assert_eq!(
        hosts.on(2, "select string_agg(v, ',') from t where id in (100, 31)"),
        "lost,lost"
    );
    hosts.nodes[2]
        .try_psql(DB, "begin read write; delete from t; commit")
        .code(1)
        .says(&["takes no writes"]);

    hosts.nodes[0].start_again();
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.wait_log(2, "went back to where the later provider begins");
    hosts.assert_same_as(1, 2);
    let copied = |log: &str| {
        ["t", "calm", "wiped", "log"].map(|table| {
            log.matches(&format!("table copied table=public.{table} "))
                .count()
        })
    };
    // A line comes after the copy.
    wait_until("both copies to be told", SOON, || {
        copied(&hosts.replays[2].log()).iter().sum::<usize>() >= 6
    });
    let log = hosts.replays[2].log();
    assert_eq!(
        copied(&log),
        [1, 1, 2, 2],
        "only what has no key, or was emptied, is copied again: {log}"
    );
    hosts.wait_lost(0);
    hosts.replays[0]
        .run(&["rejoin", "--yes", "--copy-others"])
        .ok();
    hosts.assert_same_as(1, 0);
    for node in [0, 2] {
        hosts.wait_role(node, "standby 2");
        hosts.wait_ready(node);
    }

    // What a person has deleted was there; and who was not told knows nothing.
    let epoch = "select old_epoch from trunkline.history where term = 2";
    let state = "select state from trunkline.lost_beyond('q1', %, (select upto_id from trunkline.lost where term = 2))";
    let state = state.replace('%', &format!("({epoch})"));
    assert_eq!(hosts.on(1, &state), "kept");
    assert_eq!(
        hosts.on(1, &format!("delete from trunkline.lost_change; {state}")),
        "gone"
    );
    let state = format!("select state from trunkline.lost_beyond('q1', ({epoch}), 1000000)");
    assert_eq!(hosts.on(2, &state), "unknown");

    // Ticks alone are no changes: nobody is asked, and nothing is copied.
    hosts.replays[0].run(&["stop"]).ok();
    let tick = hosts.on(1, "select pgq.force_tick('q1')");
    wait_until("helen to apply a tick that castor has not", SOON, || {
        let at = hosts.on(2, "select tick_id from trunkline.position");
        at.parse::<i64>().unwrap() >= tick.parse().unwrap()
    });
    hosts.replays[1].run(&["stop"]).ok();
    hosts.nodes[1].stop(Stop::Immediate);
    hosts.fail_over(1, 0);
    hosts.replays[0].run(&["start", "-d"]).ok();
    wait_until("helen to wait", SOON, || waits(&hosts, 2));
    hosts.nodes[1].start_again();
    hosts.replays[1].run(&["start", "-d"]).ok();
    hosts.on(0, "insert into calm values (70, 'of term 3')");
    for node in [1, 2] {
        hosts.wait_role(node, "standby 3");
        hosts.assert_same_as(0, node);
    }
    let again = hosts.replays[2].log().matches("table copied").count();
    assert_eq!(again, log.matches("table copied").count());
    hosts.wait_log(1, "joined");
    assert!(!hosts.log_has(1, "lost changes found"));
    several_reigns(&hosts);
}

/// An epoch that has had several reigns was left at several places: the one counts that ended the reign of the tick.
fn several_reigns(hosts: &Hosts) {
    hosts.on(
        2,
        "insert into trunkline.history (queue_name, term, kind, node_id, old_epoch, old_tick_id, old_tick_tag, epoch, \
                                        tick_id, tick_tag) \
         values ('x', 1, 'first', 1, null, null, null, 7, 1, 0), ('x', 2, 'switchover', 2, 7, 50, 0, 8, 1, 0), \
                ('x', 3, 'switchover', 1, 8, 9, 0, 7, 60, 0), ('x', 4, 'switchover', 2, 7, 120, 0, 8, 20, 0), \
                ('x', 5, 'failover', 1, 8, 30, 0, 7, 130, 0), ('x', 6, 'failover', 2, 7, 300, 0, 8, 40, 0)",
    );
    let border = |tick: i64| {
        let asked = format!("select tick_id from trunkline.lost_beyond('x', 7, {tick})");
        hosts.on(2, &asked)
    };
    let borders = [49, 50, 55, 100, 125, 200, 300, 310].map(border);
    assert_eq!(borders, ["", "", "50", "", "120", "", "", "300"]);
}
