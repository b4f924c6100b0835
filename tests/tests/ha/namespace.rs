//! Network namespaces for the hosts of a test, and the switch between them.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};
use tests::{run, wait_until};

use crate::SOON;

/// A network namespace. It lives as long as a process that sleeps in it.
pub(crate) struct Namespace(Child);

impl Namespace {
    pub(crate) fn new() -> Namespace {
        let sleeper = Command::new("unshare")
            .args(["--net", "sleep", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let namespace = Namespace(sleeper);
        wait_until("the namespace to be made", SOON, || {
            let its = std::fs::read_link(format!("/proc/{}/ns/net", namespace.pid()));
            its.unwrap() != std::fs::read_link("/proc/self/ns/net").unwrap()
        });
        namespace
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A program in the namespace.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid().to_string(), "-n"])
            .args(words);
        command
    }

    /// Does something in the namespace: what is started there stays there.
    #[track_caller]
    pub(crate) fn enter<T: Send>(&self, doing: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let file = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
                // Of this thread alone.
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                doing()
            });
            entered.join().expect("what was done in the namespace")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Hosts at one switch. Host number n, counted from 0, has the address 10.9.7.(n + 1).
pub(crate) struct Net {
    switch: Namespace,
    pub(crate) hosts: Vec<Namespace>,
}

impl Net {
    pub(crate) fn of(count: usize) -> Net {
        let net = Net {
            switch: Namespace::new(),
            hosts: (0..count).map(|_| Namespace::new()).collect(),
        };
        net.ip(&["link", "add", "switch", "type", "bridge"]);
        net.ip(&["link", "set", "switch", "up"]);
        for (number, host) in net.hosts.iter().enumerate() {
            let (here, there) = (net.switch.pid().to_string(), host.pid().to_string());
            let port = port(number);
            run(Command::new("ip").args([
                "link", "add", &port, "netns", &here, "type", "veth", "peer", "name", "eth0",
                "netns", &there,
            ]))
            .ok();
            net.ip(&["link", "set", &port, "master", "switch", "up"]);
            for words in [
                &["ip", "link", "set", "lo", "up"][..],
                &[
                    "ip",
                    "addr",
                    "add",
                    &format!("{}/24", address(number)),
                    "dev",
                    "eth0",
                ],
                &["ip", "link", "set", "eth0", "up"],
            ] {
                run(&mut host.command(words)).ok();
            }
        }
        net
    }

    /// Nothing from or to the host passes any more, and nobody is told.
    pub(crate) fn cut(&self, number: usize) {
        self.ip(&["link", "set", &port(number), "down"]);
    }

    pub(crate) fn heal(&self, number: usize) {
        self.ip(&["link", "set", &port(number), "up"]);
    }

    #[track_caller]
    fn ip(&self, words: &[&str]) {
        run(&mut self.switch.command(&[&["ip"], words].concat())).ok();
    }
}

pub(crate) fn address(number: usize) -> String {
    format!("10.9.7.{}", number + 1)
}

fn port(number: usize) -> String {
    format!("to-{number}")
}
