//! The command of a switchover is killed at each of its steps. Another one goes on with it, or gives it up, and there
//! is one provider, whatever it was that was killed.

use std::process::{Child, Stdio};

use tests::{Session, choose, wait_until};

use crate::SOON;
use crate::set::{DB, Hosts, NAMES, command, wait_can};
use crate::switchover::{TABLES, Writers};

/// What keeps the command at a step, so that it can be killed there.
pub(crate) enum Hold {
    /// SQL that holds a lock, on the old provider (true) or on the new one.
    Lock(bool, &'static str),
    /// A daemon of the old provider is stopped.
    Joining,
    /// An option whose command kills the one that runs it.
    Hook(&'static str),
}

/// Where the command is killed: the steps of both rows then, and what keeps it there.
pub(crate) struct Point {
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
    pub(crate) hold: Hold,
    /// It may be given up still.
    may_be_aborted: bool,
}

impl Point {
    /// Whether the step of the old provider cannot be read, because its table is locked.
    fn hides_old(&self) -> bool {
        self.old.is_empty()
    }
}

pub(crate) fn points() -> Vec<Point> {
    let point = |old, new, may_be_aborted, hold| Point {
        old,
        new,
        hold,
        may_be_aborted,
    };
    vec![
        point(
            "",
            "prepare",
            true,
            Hold::Lock(true, "lock table trunkline.operation in exclusive mode"),
        ),
        point("prepare", "prepare", true, Hold::Hook("--before")),
        point(
            "fence",
            "fence",
            true,
            Hold::Lock(true, "lock table numbered in row exclusive mode"),
        ),
        point(
            "catch-up",
            "catch-up",
            true,
            Hold::Lock(false, "lock table written in exclusive mode"),
        ),
        point(
            "promote",
            "promote",
            true,
            Hold::Lock(false, "lock table trunkline.role in share mode"),
        ),
        point(
            "open",
            "open",
            false,
            Hold::Lock(false, "lock table numbered in share update exclusive mode"),
        ),
        point("open", "open", false, Hold::Hook("--after")),
        point("follow", "follow", false, Hold::Joining),
    ]
}

pub(crate) fn step(hosts: &Hosts, node: usize) -> String {
    hosts.on(
        node,
        "select coalesce(max(step), '') from trunkline.operations('q1') where running",
    )
}

/// A switchover that is held up at a step, and what holds it.
pub(crate) struct Held {
    pub(crate) child: Child,
    pub(crate) holder: Option<Session>,
}

/// Starts a switchover, and waits until it is held up.
pub(crate) fn held(hosts: &Hosts, point: &Point, old: usize, new: usize) -> Held {
    let mut args = vec![
        "switchover",
        "q1",
        "--to",
        NAMES[new],
        "--drain",
        "120",
        "--catch-up",
        "120",
        "--max-lag",
        "60",
    ];
    let mut holder = None;
    match point.hold {
        Hold::Lock(on_old, sql) => {
            let node = if on_old { old } else { new };
            holder = Some(Session::holding(&hosts.nodes[node], DB, sql));
        }
        Hold::Hook(option) => args.extend([option, "kill -9 $PPID"]),
        Hold::Joining => {
            hosts.replays[old].run(&["stop"]).ok();
        }
    }
    let log = std::fs::File::create(hosts.scratches[0].path().join("killed.log")).unwrap();
    let mut child: Child = command(hosts, 0)
        .command(&args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let what = format!("old {:?} new {:?}", point.old, point.new);
    wait_until(&what, SOON, || {
        let ended = child.try_wait().unwrap();
        let is_hook = matches!(point.hold, Hold::Hook(_));
        assert!(is_hook || ended.is_none(), "{what}: {ended:?}");
        // A lock of the table of operations keeps us from reading it, too.
        let at =
            step(hosts, new) == point.new && (point.hides_old() || step(hosts, old) == point.old);
        at && (!is_hook || ended.is_some())
    });
    Held { child, holder }
}

/// Starts a switchover that is held up, and kills it there.
fn killed(hosts: &Hosts, point: &Point, old: usize, new: usize) {
    let mut held = held(hosts, point, old, new);
    held.child.kill().unwrap();
    held.child.wait().unwrap();
    // What the killed command is in the midst of ends first, on the server. A lock that is waited for without a limit
    // is let go before.
    if point.hides_old() {
        drop(held.holder.take());
    }
    let sessions =
        "select count(*) from pg_stat_activity where application_name like 'trunkline operator%'";
    for node in [old, new] {
        wait_until("the command's sessions to end", SOON, || {
            hosts.on(node, sessions) == "0"
        });
    }
    drop(held);
    if matches!(point.hold, Hold::Joining) {
        hosts.replays[old].run(&["start", "-d"]).ok();
    }
}

#[test]
fn a_command_that_is_killed_at_any_step_is_resumed_or_given_up_and_there_is_one_provider() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLES);
    let writers = Writers::start(&hosts);
    let mut provider = 0;
    let points = points();
    let all = |number| [true, false].map(|abort| (number, abort));
    let all: Vec<(usize, bool)> = (0..points.len()).flat_map(all).collect();
    // The shorter set takes each wish at every other step.
    let some = all
        .iter()
        .copied()
        .filter(|(number, abort)| *abort == (number % 2 == 0));
    let some = some.collect();
    for (number, abort) in choose("switchovers", all, some) {
        let point = &points[number];
        let (old, new) = (provider, 1 - provider);
        let what = format!("{:?} {:?} {abort}", point.old, point.new);
        wait_can(&hosts, new);
        writers.wait_for_more(10);
        killed(&hosts, point, old, new);
        // Others keep their hands off.
        let other = ["switchover", "q1", "--to", NAMES[new]];
        command(&hosts, 1)
            .run(&other)
            .code(5)
            .says(&["--resume, or --abort"]);
        let wish = if abort { "--abort" } else { "--resume" };
        let said = command(&hosts, 1).run(&["switchover", "q1", wish, "--drain", "120"]);
        match (abort, point.may_be_aborted) {
            (true, true) => drop(said.ok()),
            (true, false) => {
                said.code(3).says(&["is the provider already", "--resume"]);
                command(&hosts, 0)
                    .run(&["switchover", "q1", "--resume"])
                    .ok();
                provider = new;
            }
            (false, _) => {
                said.ok();
                provider = new;
            }
        }
        for node in [0, 1] {
            assert_eq!(step(&hosts, node), "", "{what}");
            let role = hosts.role(node);
            let wanted = if node == provider {
                "provider "
            } else {
                "standby "
            };
            assert!(role.starts_with(wanted), "{what}: {role}");
        }
        // Nothing is left to be done.
        for wish in ["--abort", "--resume"] {
            let again = command(&hosts, 0).run(&["switchover", "q1", wish]);
            again.code(3).says(&["no operation of queue q1 runs"]);
        }
        writers.wait_for_more(10);
    }
    writers.stop(&hosts, provider);
    hosts.assert_same_as(provider, 1 - provider);
    for node in [0, 1] {
        hosts.wait_in_order(node, &["role", "fence", "operation"]);
    }
}

#[test]
fn sessions_that_break_are_opened_again_and_what_was_asked_is_asked_again() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLES);
    wait_can(&hosts, 1);
    let holder = Session::holding(
        &hosts.nodes[1],
        DB,
        "lock table trunkline.role in share mode",
    );
    let args = ["switchover", "q1", "--to", "pollux", "--catch-up", "120"];
    let mut child = command(&hosts, 0).command(&args).spawn().unwrap();
    wait_until("the promotion", SOON, || step(&hosts, 1) == "promote");
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where application_name like 'trunkline operator%'";
    for node in [0, 1] {
        wait_until("a session to be ended", SOON, || hosts.on(node, end) != "0");
    }
    drop(holder);
    assert!(child.wait().unwrap().success());
    assert_eq!(hosts.role(1), "provider 2");
    hosts.wait_role(0, "standby 2");
    assert_eq!(step(&hosts, 0) + &step(&hosts, 1), "");
}

#[test]
fn with_the_new_provider_away_only_what_is_safe_is_given_up_and_by_force_the_rest() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLES);
    let cut = |node: usize, is_open: bool| {
        hosts.nodes[node].psql(
            "postgres",
            &format!(
                "alter database {DB} allow_connections {is_open}; \
                 select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{DB}'"
            ),
        )
    };
    let abort = |more: &[&str]| {
        let args = [&["switchover", "q1", "--abort"], more].concat();
        command(&hosts, 0).run(&args)
    };
    let points = points();
    let at = |step: &str| points.iter().find(|point| point.old == step).unwrap();
    // Before the fence nothing can have been promoted.
    wait_can(&hosts, 1);
    killed(&hosts, at("fence"), 0, 1);
    cut(1, false);
    abort(&[]).ok();
    assert_eq!(hosts.role(0), "provider 1");
    // The other row is told later.
    cut(1, true);
    command(&hosts, 0)
        .run(&["switchover", "q1", "--to", "pollux"])
        .code(5);
    abort(&[]).ok();
    assert_eq!(step(&hosts, 1), "");

    wait_can(&hosts, 1);
    killed(&hosts, at("promote"), 0, 1);
    let left = "update trunkline.operation set changed_at = now() - interval '2 min' where step <> 'aborted'";
    hosts.on(0, left);
    let said = hosts
        .operator(0)
        .run(&["check", "operation"])
        .code(2)
        .stdout;
    assert!(
        said.contains("switchover from castor to pollux")
            && said.contains("nobody has worked on it"),
        "{said}"
    );
    let status = hosts.operator(0).run(&["status"]).stdout;
    assert!(
        status.contains("step promote, nobody has worked on it"),
        "{status}"
    );
    cut(1, false);
    command(&hosts, 0)
        .run(&["switchover", "q1", "--resume"])
        .code(3)
        .says(&["pollux does not answer", "--abort --force"]);
    abort(&[])
        .code(1)
        .says(&["may be the provider", "castor stays fenced"]);
    assert_eq!(hosts.role(0), "fenced 1");
    hosts
        .operator(0)
        .run(&["unfence", "q1"])
        .code(3)
        .says(&["--abort"]);
    abort(&["--force"]).ok();
    assert_eq!(hosts.role(0), "provider 1");
    hosts.on(0, "insert into written values (5, 5)");
    // It comes back as the standby that it is, and its row does not promote it any more.
    cut(1, true);
    command(&hosts, 0)
        .run(&["switchover", "q1", "--resume"])
        .code(4)
        .says(&["given up before"]);
    assert_eq!(hosts.role(1), "standby 1");
    hosts.assert_same(1);
}
