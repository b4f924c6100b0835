//! The edges of a failover: a node that is held takes nothing, though the provider works; the provider that dies is the
//! one that was just made; and a node that has less takes its place only if that was said.

use std::process::Stdio;

use tests::{Session, wait_until};

use crate::SOON;
use crate::failover::{Keys, fail_over};
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;
use crate::switchover::{TABLES, command, wait_can};

fn ticks(hosts: &Hosts, node: usize) -> i64 {
    let ticks = hosts.on(node, "select max(tick_id) from pgq.tick");
    ticks.parse().unwrap()
}

#[test]
fn a_node_that_is_held_applies_nothing_though_the_provider_works_and_goes_on_when_it_is_let_go() {
    let hosts = Hosts::standbys_of(&[18, 10], TABLES);
    wait_can(&hosts, 1);
    let keys = Keys::start(&hosts, 0);
    keys.wait_for_more(50);
    let id = |node: usize| hosts.on(node, "select node_id from trunkline.node");
    let freeze = format!(
        "select trunkline.freeze('q1', 5, {}, 'castor', 1, {}, 'pollux')",
        id(0),
        id(1)
    );
    // A batch is in hand, and waits for a table.
    let holder = Session::holding(&hosts.nodes[1], DB, "lock table written in exclusive mode");
    keys.wait_for_more(50);
    let waits =
        "select count(*) from pg_locks where not granted and relation = 'written'::regclass";
    wait_until("a batch to wait for the table", SOON, || {
        hosts.on(1, waits) != "0"
    });
    assert_eq!(hosts.on(1, &freeze), "t");
    assert_eq!(hosts.on(1, &freeze), "f", "held already");
    let place = hosts.place(1);
    drop(holder);
    let rows = hosts.on(1, "select count(*) from written");
    // It looks each second, and the provider has more and more.
    let goal = ticks(&hosts, 0) + 5;
    wait_until("the provider to go on", SOON, || ticks(&hosts, 0) >= goal);
    assert_eq!(hosts.place(1), place);
    assert_eq!(hosts.on(1, "select count(*) from written"), rows);
    // Another one does not hold it, and a provider is not held.
    let other = freeze.replace("'q1', 5", "'q1', 6");
    let said = hosts.nodes[1].try_psql(DB, &format!("begin read write; {other}; commit"));
    said.says(&[
        "another operation of queue 'q1' runs: failover from castor to pollux, step freeze",
    ]);
    let said = hosts.nodes[0].try_psql(DB, &freeze);
    said.says(&["this node follows no provider of queue 'q1'"]);
    assert_eq!(
        hosts.on(1, "select trunkline.abort_operation('q1', 5, 'enough')"),
        "t"
    );
    hosts.wait_log(1, "held=false");
    // A freeze whose answer was lost comes later than its abort, or at the same time.
    let of = |freeze: &str, id: u8| freeze.replace("'q1', 5", &format!("'q1', {id}"));
    let abort = |number: u8| {
        let nodes = format!("{}, 'castor', {}, 'pollux'", id(0), id(1));
        format!(
            "select trunkline.refuse_operation('q1', {number}, 'failover', {nodes}, false, 'enough')"
        )
    };
    assert_eq!(hosts.on(1, &abort(7)), "t");
    hosts.nodes[1]
        .try_psql(DB, &format!("begin read write; {}; commit", of(&freeze, 7)))
        .says(&["operation 7 of queue 'q1' is aborted"]);
    let late = Session::new(&hosts.nodes[1], DB);
    late.ask(&format!("begin read write; {}", of(&freeze, 8)));
    std::thread::scope(|scope| {
        let aborted = scope.spawn(|| hosts.on(1, &abort(8)));
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%refuse_op%'";
        wait_until("the abort to wait", SOON, || hosts.on(1, waits) != "0");
        late.ask("commit");
        assert_eq!(aborted.join().unwrap(), "t");
    });
    let held = "select count(*) from trunkline.position where held_by is not null";
    assert_eq!(hosts.on(1, held), "0");
    assert!(keys.end().len() > 100);
    hosts.assert_same(1);
}

#[test]
fn a_provider_that_dies_as_soon_as_it_is_made_gives_its_place_back_and_follows_again() {
    let hosts = Hosts::standbys_of(&[15, 18], TABLES);
    hosts.on(0, "insert into written values (1, 1)");
    wait_can(&hosts, 1);
    let copied = copied(&hosts, 1);
    dies_as_soon_as_it_is_made(&hosts, 1, "select");
    // Nothing is copied, and no operation runs.
    hosts.wait_role(1, "standby 3");
    hosts.assert_same(1);
    // It takes a write before it dies: that is kept, and a person decides.
    wait_can(&hosts, 1);
    let write = "set local synchronous_commit = on; insert into written values (9, 9)";
    dies_as_soon_as_it_is_made(&hosts, 3, write);
    hosts.wait_lost(1);
    hosts.wait_role(1, "fenced 4");
    hosts.replays[1].run(&["rejoin", "--yes"]).ok();
    hosts.wait_role(1, "standby 5");
    hosts.assert_same(1);
    assert_eq!(self::copied(&hosts, 1), copied);
    let running = "select count(*) from trunkline.operations('q1') where running";
    for node in [0, 1] {
        assert_eq!(hosts.on(node, running), "0", "{}", NAMES[node]);
    }
    wait_can(&hosts, 1);
}

fn copied(hosts: &Hosts, node: usize) -> usize {
    let log = hosts.replays[node].log();
    log.matches("table copied").count()
}

/// Pollux is made the provider in the place of castor, does something, and dies before castor follows it, which takes
/// its place again. Then pollux comes back.
fn dies_as_soon_as_it_is_made(hosts: &Hosts, term: i64, deed: &str) {
    // Nobody turns to the new provider while it lives.
    hosts.replays[0].kill9();
    let args = ["switchover", "q1", "--to", "pollux"];
    let mut child = command(hosts, 0)
        .command(&args)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let made = (term + 1).to_string();
    wait_until("castor to know its successor", SOON, || {
        hosts.on(0, "select max(term) from trunkline.history") == made
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("pollux to take writes", SOON, || {
        let done = hosts.nodes[1].try_psql(DB, &format!("begin read write; {deed}; commit"));
        done.code == 0
    });
    hosts.replays[1].kill9();
    hosts.die(1);
    hosts.replays[0].run(&["start", "-d"]).ok();
    hosts.wait_role(0, &format!("standby {made}"));
    hosts.wait_ready(0);
    let said = fail_over(hosts, 0, &["--to", "castor", "--fenced", "--yes"]);
    let names = (&said["old"], &said["new"], &said["step"]);
    assert_eq!(names, (&"pollux".into(), &"castor".into(), &"done".into()));
    assert_eq!(hosts.role(0), format!("provider {}", term + 2));
    hosts.on(0, &format!("insert into written values (2, {term})"));
    hosts.nodes[1].start_again();
    hosts.tickers[1].run(&["start", "-d"]).ok();
    hosts.replays[1].run(&["start", "-d"]).ok();
}

#[test]
fn a_node_that_has_less_takes_the_place_only_if_that_was_said() {
    let hosts = Hosts::standbys_of(&[15, 15, 15], TABLES);
    for node in [1, 2] {
        wait_can(&hosts, node);
    }
    // While the provider answers it is a switchover.
    let planned = [
        "switchover",
        "q1",
        "--to",
        "helen",
        "--or-failover",
        "--fenced",
    ];
    let dry = command(&hosts, 1)
        .run(&[&planned[..], &["--dry-run"]].concat())
        .ok()
        .stdout;
    assert!(
        dry.contains("helen can become the provider in the place of castor"),
        "{dry}"
    );
    command(&hosts, 1)
        .run(&["switchover", "q1", "--to", "helen", "--fenced"])
        .code(2);
    hosts.kill_replay(2);
    let before = hosts.place(2);
    hosts.on(0, "insert into written values (1, 1)");
    wait_until("pollux to have the row", SOON, || {
        hosts.on(1, "select count(*) from written") == "1"
    });
    hosts.die(0);
    command(&hosts, 1).run(&planned).code(3).says(&[
        "helen stands at tick",
        "pollux has more",
        "--behind",
    ]);
    command(&hosts, 1)
        .run(&[&planned[..], &["--behind", "--yes", "--dry-run"]].concat())
        .ok()
        .says(&["pollux has more than helen, up to tick", "replay adopt"]);
    let mut child = command(&hosts, 1)
        .command(&[&planned[..], &["--behind", "--yes"]].concat())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    hosts.wait_role(2, "provider 2");
    wait_until("pollux to be let go", SOON, || {
        hosts.on(
            1,
            "select count(*) from trunkline.position where held_by is not null",
        ) == "0"
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let border = "select concat_ws(',', old_epoch, old_tick_id, old_tick_tag) from trunkline.history where term = 2";
    assert_eq!(hosts.on(2, border), before);
    assert_eq!(hosts.on(2, "select count(*) from written"), "0");
    // What pollux has more is not overwritten in silence.
    hosts.on(2, "insert into written values (2, 2)");
    hosts.wait_log(1, "subscriber");
    assert_eq!(
        hosts.on(1, "select writer from written"),
        "1",
        "{}",
        NAMES[1]
    );
}
