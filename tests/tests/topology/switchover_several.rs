//! Several queues are switched over by one command: all of them, or none.

use std::process::{Child, Stdio};

use serde_json::{Deserializer, Value};
use tests::{Node, Session, compare, wait_until};

use crate::SOON;
use crate::set::{DB, Hosts, NAMES, TABLE};

/// The queues, each with its only table.
const QUEUES: [(&str, &str); 3] = [("q1", "t"), ("q2", "u"), ("q3", "w")];

struct Several {
    hosts: Hosts,
    /// The replays of each node, in the order of the queues.
    replays: Vec<Vec<Node>>,
}

impl Several {
    fn start() -> Several {
        let mut hosts = Hosts::standbys_of(&[15; 2], TABLE);
        let mut replays: Vec<Vec<Node>> =
            hosts.replays.iter().map(|one| vec![one.clone()]).collect();
        for (queue, table) in &QUEUES[1..] {
            for (node, replay) in hosts.further_queue(queue, table).into_iter().enumerate() {
                replays[node].push(replay);
            }
        }
        Several { hosts, replays }
    }

    /// `trunkline -c DIR`, with the configs of all queues.
    fn command(&self, node: usize) -> Node {
        let set = self.hosts.scratches[node].path().join("set");
        Node::new("trunkline", &self.hosts.scratches[node], &set, NAMES[node])
    }

    fn roles(&self, node: usize) -> Vec<String> {
        let roles = QUEUES
            .iter()
            .map(|(queue, _)| self.hosts.role_of(node, queue));
        roles.collect()
    }

    /// Waits until a switchover of all queues would not be refused.
    #[track_caller]
    fn wait_can(&self, new: usize) {
        let dry = ["switchover", "--to", NAMES[new], "--dry-run"];
        wait_until("all queues to be fit", SOON, || {
            self.command(new).run(&dry).code == 0
        });
    }

    /// Waits until what a killed command is in the midst of has ended on the servers.
    #[track_caller]
    fn wait_left(&self) {
        for node in &self.hosts.nodes {
            node.wait_left("trunkline operator%");
        }
    }

    #[track_caller]
    fn write(&self, node: usize, id: i32) {
        for (_, table) in QUEUES {
            self.hosts
                .on(node, &format!("insert into {table} values ({id}, 'a')"));
        }
    }

    /// What the provider has been given is on the other node, too.
    #[track_caller]
    fn assert_same(&self, provider: usize, standby: usize) {
        for ((_, table), replay) in QUEUES.iter().zip(&self.replays[standby]) {
            replay.wait_level();
            let [from, to] = [provider, standby].map(|node| (&self.hosts.nodes[node], DB));
            compare(from, to, &format!("public.{table}")).unwrap();
        }
    }
}

/// A switchover to pollux that waits for whoever writes into the third queue's table.
fn held(set: &Several) -> (Child, Session) {
    let writer = Session::holding(&set.hosts.nodes[0], DB, "insert into w values (-1, 'open')");
    let mut child = set
        .command(0)
        .command(&["switchover", "--to", "pollux", "--drain", "120"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("two of the queues to be fenced", SOON, || {
        assert_eq!(child.try_wait().unwrap(), None);
        set.roles(0) == ["fenced 1", "fenced 1", "provider 1"]
    });
    (child, writer)
}

#[test]
fn three_queues_are_switched_over_together_or_not_at_all() {
    let set = Several::start();
    set.wait_can(1);
    set.write(0, 1);

    // The third one cannot be fenced: none is promoted, and all take writes.
    let writer = Session::holding(&set.hosts.nodes[0], DB, "insert into w values (2, 'open')");
    set.command(0)
        .run(&["switchover", "--to", "pollux", "--drain", "1"])
        .code(4)
        .says(&[
            "queue q3",
            "queue q1: castor takes writes again",
            "queue q2: castor takes writes again",
        ]);
    assert_eq!(set.roles(0), ["provider 1"; 3]);
    assert_eq!(set.roles(1), ["standby 1"; 3]);
    drop(writer);
    set.write(0, 3);

    // The command dies before the second queue knows of it: one queue alone does not go on.
    set.command(0)
        .command(&["switchover", "--to", "pollux", "--before", "kill -9 $PPID"])
        .status()
        .unwrap();
    set.wait_left();
    set.command(1)
        .run(&["switchover", "--resume"])
        .code(3)
        .says(&["no operation of queue q2 runs", "not all of the queues"]);
    set.command(1).run(&["switchover", "--abort"]).ok();
    assert_eq!(set.roles(0), ["provider 1"; 3]);
    set.wait_can(1);

    // The command dies between the fences. What it has begun is given up, or goes on, with all queues.
    let (mut child, writer) = held(&set);
    child.kill().unwrap();
    child.wait().unwrap();
    set.wait_left();
    set.command(1).run(&["switchover", "--abort"]).ok();
    drop(writer);
    assert_eq!(set.roles(0), ["provider 1"; 3]);
    set.write(0, 4);
    set.wait_can(1);
    let (mut child, writer) = held(&set);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(writer);
    set.command(1).run(&["switchover", "--resume"]).ok();
    assert_eq!(set.roles(1), ["provider 2"; 3]);
    set.write(1, 5);
    set.assert_same(1, 0);

    // A queue that is not ready keeps all of them where they are.
    set.wait_can(0);
    set.replays[0][1].run(&["stop"]).ok();
    set.command(1)
        .run(&["switchover", "--to", "castor"])
        .code(3)
        .says(&[
            "refused: queue q2: castor: replay does not run",
            "nothing was done",
        ]);
    assert_eq!(set.roles(1), ["provider 2"; 3]);
    set.replays[0][1].run(&["start", "-d"]).ok();
    set.wait_can(0);
    let said = set
        .command(1)
        .run(&["switchover", "--to", "castor", "--json"])
        .ok();
    let said: Vec<Value> = Deserializer::from_str(&said.stdout)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for ((queue, _), one) in QUEUES.iter().zip(&said) {
        assert_eq!(
            (&one["queue"], &one["step"]),
            (&Value::from(*queue), &Value::from("done"))
        );
    }
    assert_eq!(
        (said.len(), set.roles(0)),
        (3, vec!["provider 3".to_owned(); 3])
    );
    set.write(0, 6);
    set.assert_same(0, 1);
}
