//! The command of a failover is killed at each of its steps. Another one goes on with it, or gives it up; there is one
//! provider at most, and nobody is held any more.

use std::process::{Child, Stdio};

use tests::{Session, Stop, wait_until};

use crate::SOON;
use crate::failover::{Keys, fail_over};
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;
use crate::switchover::{TABLES, command, wait_can};

/// Where the command is killed: the steps of the node that is to be the provider and of the other one, and the lock
/// that keeps it there, on the first of them or on the one that is held last.
struct Point {
    new: &'static str,
    other: &'static str,
    on_new: bool,
    lock: &'static str,
}

/// Nobody is elected before all are held.
const HELD: Point = Point {
    new: "freeze",
    other: "freeze",
    on_new: false,
    lock: "lock table trunkline.sequence_state in access exclusive mode",
};
/// The other one knows, and the elected one does not.
const ELECTED: Point = Point {
    new: "freeze",
    other: "promote",
    on_new: true,
    lock: "select pg_advisory_xact_lock(7)",
};
const PROMOTING: Point = Point {
    new: "promote",
    other: "promote",
    on_new: true,
    lock: "lock table trunkline.role in share mode",
};
const OPENING: Point = Point {
    new: "open",
    other: "promote",
    on_new: true,
    lock: "lock table numbered in share update exclusive mode",
};

/// Has an election wait on a node for the lock of [`ELECTED`].
const SLOW_ELECTION: &str = "\
    create function slow() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock(7); return new; end'; \
    create trigger slow before update on trunkline.operation for each row when (new.step = 'promote' and old.step = 'freeze') \
        execute procedure slow()";

fn step(hosts: &Hosts, node: usize) -> String {
    hosts.on(
        node,
        "select coalesce(max(step), '') from trunkline.operations('q1') where running",
    )
}

fn is_held(hosts: &Hosts, node: usize) -> bool {
    let held = "select count(*) from trunkline.position where held_by is not null";
    hosts.on(node, held) != "0"
}

/// The command stands before it holds anybody, until the file is gone.
fn begun(hosts: &Hosts, new: usize, more: &[&str]) -> (Child, std::path::PathBuf) {
    let file = hosts.scratches[new].path().join("waits");
    std::fs::write(&file, "").unwrap();
    let begun = file.with_extension("begun");
    let wait = format!(
        "touch {}; while [ -e {} ]; do sleep 0.05; done",
        begun.display(),
        file.display()
    );
    let args = [
        "failover", "q1", "--to", NAMES[new], "--fenced", "--before", &wait,
    ];
    let log = std::fs::File::create(hosts.scratches[new].path().join("killed.log")).unwrap();
    let child = command(hosts, new)
        .command(&[&args, more].concat())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_until("the command to be about to begin", SOON, || begun.exists());
    std::fs::remove_file(begun).unwrap();
    (child, file)
}

/// Starts a failover that is held up, and kills it there.
fn killed(hosts: &Hosts, point: &Point, new: usize, other: Option<usize>, more: &[&str]) {
    let id = |node: usize| -> i64 {
        let id = hosts.on(node, "select node_id from trunkline.node");
        id.parse().unwrap()
    };
    let last = other.map_or(new, |other| if id(other) > id(new) { other } else { new });
    let (mut child, file) = begun(hosts, new, more);
    let on = if point.on_new { new } else { last };
    let holder = Session::holding(&hosts.nodes[on], DB, point.lock);
    std::fs::remove_file(file).unwrap();
    let what = format!("{:?} {:?}", point.new, point.other);
    wait_until(&what, SOON, || {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{what}: {ended:?}");
        step(hosts, new) == point.new && other.is_none_or(|other| step(hosts, other) == point.other)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // What the killed command is in the midst of ends on the server, too, and does nothing more.
    let sessions = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                     where application_name like 'trunkline operator%'";
    for node in [Some(new), other].into_iter().flatten() {
        wait_until("the command's sessions to end", SOON, || {
            hosts.on(node, sessions) == "0"
        });
    }
    drop(holder);
}

#[test]
fn a_failover_that_is_killed_is_given_up_or_goes_on_and_two_at_once_make_one_provider() {
    let hosts = Hosts::standbys_of(&[15, 15, 15], TABLES);
    for node in [1, 2] {
        wait_can(&hosts, node);
    }
    let keys = Keys::start(&hosts, 0);
    keys.wait_for_more(20);
    hosts.kill_ticker(0);
    for node in [1, 2] {
        hosts.wait_level(0, node);
    }
    hosts.die(0);
    hosts.on(1, SLOW_ELECTION);
    let places = [1, 2].map(|node| hosts.place(node));
    for point in [&HELD, &ELECTED, &PROMOTING] {
        killed(&hosts, point, 1, Some(2), &[]);
        for node in [1, 2] {
            assert!(is_held(&hosts, node));
        }
        let other = ["failover", "q1", "--elect", "--fenced"];
        command(&hosts, 2).run(&other).code(5).says(&[
            "a failover from castor to pollux runs",
            "failover q1 --resume, or --abort",
        ]);
        let switch = [
            "switchover",
            "q1",
            "--to",
            "helen",
            "--or-failover",
            "--fenced",
        ];
        command(&hosts, 2).run(&switch).code(5);
        // It is seen on each node: that it is held, and after a minute that nobody works on it.
        let status = hosts.replays[2].run(&["status"]).stdout;
        assert!(
            status.contains("held where it stands by a failover"),
            "{status}"
        );
        hosts.on(
            2,
            "update trunkline.operation set changed_at = now() - interval '2 min' \
                      where step not in ('done', 'aborted')",
        );
        hosts.operator(2).run(&["check", "operation"]).code(2);
        let said = command(&hosts, 2).run(&["failover", "q1", "--abort"]).ok();
        assert!(
            said.stdout.contains("all nodes go on where they stand"),
            "{}",
            said.stdout
        );
        for node in [1, 2] {
            assert_eq!(
                (step(&hosts, node), is_held(&hosts, node)),
                (String::new(), false)
            );
            assert_eq!(hosts.role(node), "standby 1");
        }
        assert_eq!(places, [1, 2].map(|node| hosts.place(node)));
    }
    // A node restarts while it is held, and stays so; then another command goes on.
    killed(&hosts, &HELD, 1, Some(2), &[]);
    hosts.nodes[2].stop(Stop::Immediate);
    hosts.nodes[2].start_again();
    assert!(is_held(&hosts, 2));
    // The provider may have come back since: it must be off still, and somebody must say so again.
    let resume = |more: &[&str]| {
        let args = [&["failover", "q1", "--resume", "--to", "pollux"], more].concat();
        command(&hosts, 2).run(&args)
    };
    resume(&[])
        .code(3)
        .says(&["nobody says that castor is off", "--resume --fenced"]);
    hosts.nodes[0].start_again();
    resume(&["--fenced"])
        .code(3)
        .says(&["answers, and is provider", "--abort"]);
    hosts.die(0);
    assert!(is_held(&hosts, 2));
    let said = fail_over(&hosts, 2, &["--resume", "--to", "pollux", "--fenced"]);
    assert_eq!(
        (&said["step"], &said["new"]),
        (&"done".into(), &"pollux".into())
    );
    assert_eq!(hosts.role(1), "provider 2");
    assert_eq!(step(&hosts, 1) + &step(&hosts, 2), "");
    hosts.on(1, "insert into written values (7, 7)");
    hosts.assert_same_as(1, 2);
    command(&hosts, 1)
        .run(&["failover", "q1", "--resume", "--elect"])
        .code(3)
        .says(&["no operation of queue q1 runs"]);

    // The next one dies, too; two operators act at once.
    hosts.wait_ready(2);
    hosts.die(1);
    let args = ["failover", "q1", "--elect", "--fenced", "--yes"];
    let both = [0, 2].map(|node| {
        command(&hosts, node)
            .command(&args)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    });
    let mut codes = both.map(|mut child| child.wait().unwrap().code().unwrap());
    codes.sort_unstable();
    assert!(matches!(codes, [0, 3 | 5]), "{codes:?}");
    assert_eq!(hosts.role(2), "provider 3");
    assert_eq!(step(&hosts, 2), "");
}

#[test]
fn who_was_elected_and_fell_silent_is_waited_for_until_a_person_gives_it_up() {
    let hosts = Hosts::standbys_of(&[18, 15, 10], TABLES);
    for node in [1, 2] {
        wait_can(&hosts, node);
        hosts.wait_level(0, node);
    }
    hosts.die(0);
    killed(&hosts, &PROMOTING, 1, Some(2), &[]);
    hosts.nodes[1].stop(Stop::Immediate);
    let run = |more: &[&str]| {
        let args = [&["failover", "q1"], more].concat();
        command(&hosts, 2).run(&args)
    };
    for wish in [&["--resume", "--elect"][..], &["--abort"]] {
        run(wish).code(3).says(&[
            "pollux was elected, does not answer, and may be the provider",
            "--abort --force",
        ]);
        assert!(is_held(&hosts, 2));
    }
    run(&["--elect", "--fenced", "--without", "pollux"]).code(5);
    run(&["--abort", "--force"]).ok();
    assert!(!is_held(&hosts, 2));
    run(&["--elect", "--fenced"])
        .code(3)
        .says(&["standby pollux does not answer"]);
    // The next command dies when the node is the provider.
    killed(&hosts, &OPENING, 2, None, &["--without", "pollux"]);
    run(&["--abort"])
        .code(3)
        .says(&["helen is the provider already"]);
    run(&["--resume", "--elect", "--fenced"]).ok();
    assert_eq!(hosts.role(2), "provider 2");
    hosts.on(2, "insert into written values (1, 1)");

    // The one that was away is held still when it comes back, hears of the new provider, and lets itself go.
    hosts.nodes[1].start_again();
    wait_until("pollux to be let go", SOON, || !is_held(&hosts, 1));
    assert_eq!(step(&hosts, 1), "");
    assert_eq!(hosts.role(1), "standby 2");
    hosts.assert_same_as(2, 1);
}
