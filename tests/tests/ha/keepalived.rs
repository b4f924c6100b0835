//! keepalived gives the address to the provider alone, and moves it with a switchover. Each node is a network namespace
//! with its own keepalived.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Instant,
};

use tests::{Node, Programs, Scratch, Stop, run, wait_until};

use crate::{
    SOON, has_namespaces,
    set::{Hosts, NAMES, TABLE, command, wait_can},
    shipped,
};

const ADDRESS: &str = "10.9.8.100/24";

/// A process that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace with a port of a switch. It lives as long as a process that sleeps in it.
struct Host {
    sleeper: Running,
    interface: &'static str,
    keepalived: Option<Running>,
}

impl Host {
    fn new(interface: &'static str) -> Host {
        let sleeper = Command::new("unshare")
            .args(["--net", "sleep", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let host = Host {
            sleeper: Running(sleeper),
            interface,
            keepalived: None,
        };
        wait_until("the namespace to be made", SOON, || {
            let its = std::fs::read_link(format!("/proc/{}/ns/net", host.pid()));
            its.unwrap() != std::fs::read_link("/proc/self/ns/net").unwrap()
        });
        host
    }

    fn pid(&self) -> u32 {
        self.sleeper.0.id()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid().to_string(), "-n"])
            .args(words);
        command
    }

    fn up(&self, address: &str) {
        for words in [
            vec!["ip", "link", "set", "lo", "up"],
            vec!["ip", "addr", "add", address, "dev", self.interface],
            vec!["ip", "link", "set", self.interface, "up"],
        ] {
            run(&mut self.command(&words)).ok();
        }
    }

    /// Starts keepalived, which asks this node's probe.
    fn keep(&mut self, scratch: &Scratch, node: &Node) {
        let interface = self.interface;
        // The servers listen in the namespace of the test.
        let probe = format!(
            "nsenter --net=/proc/{}/ns/net {} -c {} probe serve",
            std::process::id(),
            Programs::get().path("trunkline").display(),
            node.config.display()
        );
        let config = scratch.file(
            &format!("{interface}.conf"),
            &shipped(
                "keepalived.conf",
                &[
                    ("interface eth0", &format!("interface {interface}")),
                    ("script_user trunkline", "script_user root"),
                    // What lies below /tmp counts as unsafe, and the check would be switched off.
                    ("    enable_script_security\n", ""),
                    (
                        "/usr/bin/trunkline -c /etc/trunkline/ticker.toml probe serve",
                        &probe,
                    ),
                ],
            ),
        );
        let file = |name: &str| scratch.dir("run").join(format!("{interface}.{name}"));
        let log = File::create(file("log")).unwrap();
        let keepalived = self
            .command(&[
                "/usr/sbin/keepalived",
                "--dont-fork",
                "--log-console",
                "--vrrp",
            ])
            .arg("--use-file")
            .arg(config)
            .arg("--pid")
            .arg(file("main.pid"))
            .arg("--vrrp_pid")
            .arg(file("vrrp.pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("keepalived is installed: apt-get install keepalived");
        self.keepalived = Some(Running(keepalived));
    }

    fn has_address(&self) -> bool {
        let shown =
            run(&mut self.command(&["ip", "-o", "addr", "show", "dev", self.interface])).ok();
        shown.stdout.contains(ADDRESS)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It ends its own processes when it is asked to.
        if let Some(keepalived) = &mut self.keepalived {
            let pid = i32::try_from(keepalived.0.id()).unwrap();
            tests::signal(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = keepalived.0.wait();
        }
    }
}

/// Three nodes at one switch, which is in the namespace of the first one.
fn wired() -> [Host; 3] {
    let nodes = NAMES.map(Host::new);
    let [first, others @ ..] = &nodes;
    let ip = |words: &[&str]| run(&mut first.command(&[&["ip", "link"], words].concat())).ok();
    ip(&["add", first.interface, "type", "bridge"]);
    for other in others {
        let port = format!("to-{}", other.interface);
        let (here, there) = (first.pid().to_string(), other.pid().to_string());
        run(Command::new("ip").args([
            "link",
            "add",
            &port,
            "netns",
            &here,
            "type",
            "veth",
            "peer",
            "name",
            other.interface,
            "netns",
            &there,
        ]))
        .ok();
        ip(&["set", &port, "master", first.interface, "up"]);
    }
    for (number, node) in (1..).zip(&nodes) {
        node.up(&format!("10.9.8.{number}/24"));
    }
    nodes
}

/// Two nodes that may be the provider, and helen, a plain subscriber.
fn set() -> Hosts {
    let hosts = Hosts::standbys_of(&[15; 3], TABLE);
    let config = std::fs::read_to_string(&hosts.replays[2].config).unwrap();
    let plain = config.replace("standby = true", "");
    std::fs::write(&hosts.replays[2].config, plain).unwrap();
    hosts.replays[2].run(&["install"]).ok();
    hosts
}

#[test]
fn the_address_is_with_the_provider_moves_with_it_and_is_with_nobody_while_there_is_none() {
    if !has_namespaces() {
        return;
    }
    let hosts = set();
    let (castor, pollux) = (0, 1);
    let mut nodes = wired();
    let probed = [
        &hosts.operator(castor),
        &hosts.replays[1],
        &hosts.replays[2],
    ];
    for (number, node) in nodes.iter_mut().enumerate() {
        node.keep(&hosts.scratches[number], probed[number]);
    }
    // At no moment another node has it: each wait looks at all. Who gives it away is looked at last.
    let wait = |what: &str, from: usize, to: Option<usize>| {
        wait_until(what, SOON, || {
            let order = [2, 1 - from, from];
            let has: Vec<usize> = order
                .into_iter()
                .filter(|one| nodes[*one].has_address())
                .collect();
            assert!(
                has.len() < 2 && has.iter().all(|one| *one == from || Some(*one) == to),
                "{what}: {has:?}"
            );
            has == to.into_iter().collect::<Vec<_>>()
        });
    };
    wait("the provider to have the address", castor, Some(castor));
    // Whether the standby keeps up is no matter for the address.
    hosts.replays[pollux].run(&["pause"]).ok();
    hosts.on(castor, "insert into t values (2, 'b')");
    hosts.operator(castor).run(&["fence", "q1"]).ok();
    wait("the fenced node to give it away", castor, None);
    hosts.operator(castor).run(&["unfence", "q1"]).ok();
    wait("the node to have it again", castor, Some(castor));
    hosts.replays[pollux].run(&["resume"]).ok();

    wait_can(&hosts, pollux);
    let begun = Instant::now();
    let mut switchover = command(&hosts, castor)
        .command(&["switchover", "q1", "--to", "pollux"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait("the address to move", castor, Some(pollux));
    println!("the address has moved after {:?}", begun.elapsed());
    assert!(switchover.wait().unwrap().success());
    assert_eq!(hosts.role(pollux), "provider 2");
    hosts.wait_role(castor, "standby 2");

    hosts.nodes[pollux].stop(Stop::Immediate);
    wait("the dead node to give it away", pollux, None);
}
