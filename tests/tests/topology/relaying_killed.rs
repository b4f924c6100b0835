//! Replay and ticker of a former provider die while its log begins anew and its triggers are switched, one table after
//! the other. Afterwards whoever is behind goes on there without a hole.

use tests::{Session, wait_until};

use crate::SOON;
use crate::set::{DB, Hosts};

/// How many triggers of a table log what replay writes.
fn always(hosts: &Hosts, table: &str) -> i32 {
    let count = format!(
        r"select count(*) from pg_trigger where tgrelid = '{table}'::regclass and tgname like 'trunkline\_%' and tgenabled = 'A'"
    );
    hosts.on(0, &count).parse().unwrap()
}

fn kill(hosts: &Hosts) {
    hosts.replays[0].kill9();
    hosts.tickers[0].kill9();
}

fn start(hosts: &Hosts) {
    hosts.tickers[0].run(&["start", "-d"]).ok();
    hosts.replays[0].run(&["start", "-d"]).ok();
}

#[test]
fn deaths_while_a_former_provider_begins_to_log_again_leave_no_hole() {
    let hosts = Hosts::standbys(&[15; 3]);
    for node in [1, 2] {
        hosts.wait_ready(node);
        hosts.wait_relaying(node);
    }
    let config = &hosts.replays[0].config;
    let relays = std::fs::read_to_string(config).unwrap();
    let not = relays.replacen("standby = true", "standby = true\nrelay = false", 1);
    std::fs::write(config, not).unwrap();
    hosts.replays[0].run(&["reload"]).ok();
    hosts.switch(0, 1);
    for node in [0, 2] {
        hosts.wait_role(node, "standby 2");
    }
    let write = |at: i32| {
        hosts.on(
            1,
            &format!(
                "insert into t (v) values ('{at}'); insert into p values ({at}, 50, 'x'), ({at} + 5000, 150, 'y'); \
                 update p set at = (at + 100) % 200 where id = {at} - 1"
            ),
        );
    };
    write(1000);
    hosts.assert_same_as(1, 0);

    // The triggers of `p` cannot be switched, those of `t` can.
    let lock = "set transaction read write; lock table p in row exclusive mode";
    let holder = Session::holding(&hosts.nodes[0], DB, lock);
    let epoch = || hosts.on(0, "select queue_epoch from pgq.queue");
    let before = epoch();
    std::fs::write(config, &relays).unwrap();
    hosts.replays[0].run(&["reload"]).ok();
    wait_until(
        "the log to begin anew, or a table to be logged",
        SOON,
        || epoch() != before || always(&hosts, "t") > 0,
    );
    kill(&hosts);
    write(1001);
    start(&hosts);
    wait_until("one of two tables to be logged", SOON, || {
        epoch() != before && always(&hosts, "t") > 0
    });
    assert_eq!(always(&hosts, "p"), 0);
    kill(&hosts);
    write(1002);
    start(&hosts);
    hosts.assert_same_as(1, 2);
    drop(holder);
    write(1003);
    hosts.wait_relaying(0);
    hosts.assert_same_as(1, 0);

    // Helen stays behind castor, who is promoted: she gets the rest from his log.
    let copies = || hosts.replays[2].log().matches("table copied").count();
    let copied = copies();
    hosts.drift(1, 0, 2);
    hosts.die(1);
    hosts.fail_over(1, 0);
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.assert_same_as(0, 2);
    assert_eq!(copies(), copied, "nothing was copied");
}
