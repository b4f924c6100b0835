//! keepalived gives the address to the provider alone, and moves it with a switchover. Each node is a network namespace
//! with its own keepalived.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use tests::{Programs, Scratch, Stop, run, wait_until};

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

    /// Starts keepalived with a file of `etc/ha`, in which these words stand for the others.
    fn keep(&mut self, scratch: &Scratch, file: &str, words: &[(&str, &str)]) {
        let interface = self.interface;
        let there = format!("interface {interface}");
        let common = [
            ("interface eth0", there.as_str()),
            ("script_user trunkline", "script_user root"),
            // What lies below /tmp counts as unsafe, and the check would be switched off.
            ("    enable_script_security\n", ""),
        ];
        let config = scratch.file(
            &format!("{interface}.conf"),
            &shipped(file, &[&common, words].concat()),
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

    /// Kills keepalived. The address stays with it.
    fn kill(&mut self) {
        drop(self.keepalived.take());
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

/// `trunkline` with a config file, for a process in another namespace: the servers listen in that of the test.
fn trunkline(config: &Path) -> String {
    format!(
        "nsenter --net=/proc/{}/ns/net {} -c {}",
        std::process::id(),
        Programs::get().path("trunkline").display(),
        config.display()
    )
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
    let probed = [&hosts.tickers[castor], &hosts.replays[1], &hosts.replays[2]];
    for (number, node) in nodes.iter_mut().enumerate() {
        let program = trunkline(&probed[number].config);
        let words = [(
            "/usr/bin/trunkline -c /etc/trunkline/ticker.toml",
            program.as_str(),
        )];
        node.keep(&hosts.scratches[number], "keepalived.conf", &words);
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

#[test]
#[ignore = "etc/test.sh --full"]
fn where_keepalived_leads_its_death_alone_is_a_planned_switchover() {
    if !has_namespaces() {
        return;
    }
    let hosts = Hosts::standbys_of(&[15, 15], TABLE);
    let (castor, pollux) = (0, 1);
    let mut nodes = wired();
    wait_can(&hosts, pollux);
    let keep = |nodes: &mut [Host; 3], number: usize| {
        let program = trunkline(&hosts.replays[number].config);
        let to = format!("switchover q1 --to {}", NAMES[number]);
        let words = [
            (
                "/usr/bin/trunkline -c /etc/trunkline/replay.toml",
                program.as_str(),
            ),
            ("switchover db1-queue --to castor", to.as_str()),
        ];
        nodes[number].keep(&hosts.scratches[number], "keepalived-leads.conf", &words);
    };
    keep(&mut nodes, castor);
    wait_until("the provider to have the address", SOON, || {
        nodes[castor].has_address()
    });
    keep(&mut nodes, pollux);
    hosts.on(castor, "insert into t values (2, 'b')");
    let begun = Instant::now();
    nodes[castor].kill();
    wait_until("the address to move", SOON, || nodes[pollux].has_address());
    let moved = begun.elapsed();
    hosts.wait_role(pollux, "provider 2");
    println!(
        "the address has moved after {moved:?}, the provider after {:?}",
        begun.elapsed()
    );
    hosts.wait_role(castor, "standby 2");
    hosts.on(pollux, "insert into t values (3, 'c')");
    hosts.assert_same_as(pollux, castor);
    assert_eq!(hosts.on(castor, "select count(*) from t"), "2");
    // The provider itself dies: nobody says that it is off, so there is an address and no provider.
    keep(&mut nodes, castor);
    wait_can(&hosts, castor);
    hosts.nodes[pollux].stop(Stop::Immediate);
    wait_until("the address to move back", SOON, || {
        nodes[castor].has_address()
    });
    let refused = "select count(*) from trunkline.events('q1') where event = 'failover_refused'";
    wait_until("the failover to be refused", SOON, || {
        hosts.on(castor, refused) != "0"
    });
    assert_eq!(hosts.role(castor), "standby 2");
}
