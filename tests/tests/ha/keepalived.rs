//! keepalived gives the address to the provider alone. Each node is a network namespace with its own keepalived.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use tests::{Node, Programs, Replication, Stop, run, wait_until};

use crate::{SOON, has_namespaces, operator, pair, shipped};

const ADDRESS: &str = "10.9.8.100/24";

/// A process that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace with one end of a cable. It lives as long as a process that sleeps in it.
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
    fn keep(&mut self, pair: &Replication, node: &Node) {
        let (scratch, interface) = (&pair.scratch, self.interface);
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

#[test]
fn the_address_is_with_the_provider_and_with_nobody_while_there_is_none() {
    if !has_namespaces() {
        return;
    }
    let pair = pair();
    let (mut castor, mut pollux) = (Host::new("castor"), Host::new("pollux"));
    let (first, second) = (castor.pid().to_string(), pollux.pid().to_string());
    run(Command::new("ip").args([
        "link", "add", "castor", "netns", &first, "type", "veth", "peer", "name", "pollux",
        "netns", &second,
    ]))
    .ok();
    castor.up("10.9.8.1/24");
    pollux.up("10.9.8.2/24");
    castor.keep(&pair, &operator(&pair));
    pollux.keep(&pair, &pair.replay);
    // At no moment the standby has it: each wait looks at both.
    let wait = |what: &str, has: bool| {
        wait_until(what, SOON, || {
            assert!(!pollux.has_address(), "{what}: the standby has it");
            castor.has_address() == has
        });
    };
    wait("the provider to have the address", true);
    // Whether the standby keeps up is no matter for the address.
    pair.replay.run(&["pause"]).ok();
    pair.on_provider("insert into t values (2, 'b')");
    operator(&pair).run(&["fence", "q1"]).ok();
    wait("the fenced node to give it away", false);
    operator(&pair).run(&["unfence", "q1"]).ok();
    wait("the node to have it again", true);
    pair.provider.stop(Stop::Immediate);
    wait("the dead node to give it away", false);
    pair.provider.start_again();
    wait("the node to have it again", true);
}
