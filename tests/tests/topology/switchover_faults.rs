//! A daemon or a server dies at each step of a switchover. The command goes on, or is killed as well and then resumed
//! or given up; in the end there is one provider and one standby, and no transaction is lost or there twice.

use tests::{Stop, choose, wait_until};

use crate::SOON;
use crate::set::{Hosts, NAMES, command, wait_can};
use crate::switchover::{TABLES, Writers};
use crate::switchover_killed::{Held, Hold, Point, held, points, step};

/// What dies; true: on the node of the old provider.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Replay(bool),
    Ticker(bool),
    Server(bool),
}

impl Victim {
    const ALL: [Victim; 6] = [
        Victim::Replay(true),
        Victim::Replay(false),
        Victim::Ticker(true),
        Victim::Ticker(false),
        Victim::Server(true),
        Victim::Server(false),
    ];

    /// Ends it at once, and starts it again.
    fn dies(self, hosts: &Hosts, old: usize, new: usize) {
        let node = |on_old| if on_old { old } else { new };
        match self {
            Victim::Replay(on_old) => again(&hosts.replays[node(on_old)]),
            Victim::Ticker(on_old) => again(&hosts.tickers[node(on_old)]),
            Victim::Server(on_old) => {
                hosts.nodes[node(on_old)].stop(Stop::Immediate);
                hosts.nodes[node(on_old)].start_again();
            }
        }
    }
}

fn again(daemon: &tests::Node) {
    daemon.kill9();
    daemon.run(&["start", "-d"]).ok();
}

/// What becomes of the command.
#[derive(Clone, Copy, Debug)]
enum Command {
    GoesOn,
    IsResumed,
    IsGivenUp,
}

/// Holds a switchover at a step, lets something die there, and sees to it that the switchover ends.
fn moves(hosts: &Hosts, point: &Point, victim: Victim, end: Command, (old, new): (usize, usize)) {
    let Held { mut child, holder } = held(hosts, point, old, new);
    if !matches!(end, Command::GoesOn) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    victim.dies(hosts, old, new);
    drop(holder);
    if matches!(point.hold, Hold::Joining) && hosts.replays[old].pid().is_none() {
        hosts.replays[old].run(&["start", "-d"]).ok();
    }
    let wish = match end {
        Command::GoesOn => {
            child.wait().unwrap();
            "--resume"
        }
        Command::IsResumed => "--resume",
        Command::IsGivenUp => "--abort",
    };
    let is_over = || (step(hosts, old) + &step(hosts, new)).is_empty();
    let mut wish = wish;
    wait_until("the operation to be over", SOON, || {
        if is_over() {
            return true;
        }
        let said = command(hosts, new).run(&["switchover", "q1", wish, "--drain", "60"]);
        // What is done cannot be given up.
        if said.code == 3 {
            wish = "--resume";
        }
        is_over()
    });
}

/// The provider, once one node is it and the other one its standby.
fn provider(hosts: &Hosts) -> usize {
    let mut found = None;
    wait_until("one provider and one standby", SOON, || {
        let roles = [hosts.role(0), hosts.role(1)];
        let is = |node: usize, role: &str| roles[node].starts_with(role);
        found = (0..2).find(|node| is(*node, "provider ") && is(1 - node, "standby "));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn whatever_dies_at_whatever_step_there_is_one_provider_and_nothing_is_lost() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLES);
    let writers = Writers::start(&hosts);
    let mut points = points();
    points.retain(|point| !matches!(point.hold, Hold::Hook(_)));
    let ends = [Command::GoesOn, Command::IsResumed, Command::IsGivenUp];
    let pairs = (0..points.len()).flat_map(|point| {
        let victims = (0..).zip(Victim::ALL);
        victims.map(move |(number, victim)| (point, victim, ends[(point + number) % ends.len()]))
    });
    let at = |name: &str| points.iter().position(|point| point.new == name).unwrap();
    let some = vec![
        (at("fence"), Victim::Server(true), Command::IsGivenUp),
        (at("catch-up"), Victim::Replay(false), Command::GoesOn),
        (at("promote"), Victim::Server(false), Command::IsResumed),
    ];
    let mut old = 0;
    for (number, victim, end) in choose("deaths", pairs.collect(), some) {
        let point = &points[number];
        let new = 1 - old;
        println!("{:?} {victim:?} {end:?} to {}", point.new, NAMES[new]);
        wait_can(&hosts, new);
        writers.wait_for_more(10);
        moves(&hosts, point, victim, end, (old, new));
        old = provider(&hosts);
        writers.wait_for_more(10);
    }
    writers.stop(&hosts, old);
    hosts.assert_same_as(old, 1 - old);
    for node in [0, 1] {
        hosts.wait_in_order(node, &["role", "fence", "operation"]);
    }
}
