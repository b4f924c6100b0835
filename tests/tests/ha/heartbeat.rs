//! The resource script for heartbeat's haresources, by heartbeat's own ResourceManager. Each node has its name, and a
//! folder /etc/ha.d, in namespaces of its own. What ResourceManager would end or start anew in an emergency, processes
//! and the machine, is out of its reach there.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use tests::{Output, Programs, run};

use crate::{
    has_namespaces,
    set::{Hosts, NAMES, TABLE, wait_can},
    shipped,
};

const IN_NAMESPACES: &str = r#"
set -eu
hostname "$1"
mount --bind "$2" /etc/ha.d
for program in /sbin/reboot /sbin/init; do
    [ ! -e "$program" ] || mount --bind /bin/false "$program"
done
HA_CURHOST=$1 exec /usr/share/heartbeat/ResourceManager "$3" trunkline::q1
"#;

/// Makes /etc/ha.d of a node.
fn folder(hosts: &Hosts, node: usize) -> PathBuf {
    let scratch = &hosts.scratches[node];
    let configs = scratch.dir("configs");
    std::fs::copy(&hosts.tickers[node].config, configs.join("ticker.toml")).unwrap();
    std::fs::copy(&hosts.replays[node].config, configs.join("replay.toml")).unwrap();
    let trunkline = Programs::get().path("trunkline");
    let script = scratch.file(
        "ha.d/resource.d/trunkline",
        &shipped(
            "resource.d/trunkline",
            &[
                (
                    "CONFIGS=/etc/trunkline",
                    &format!("CONFIGS={}", configs.display()),
                ),
                (
                    "TRUNKLINE=/usr/bin/trunkline",
                    &format!("TRUNKLINE={}", trunkline.display()),
                ),
            ],
        ),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    scratch.file("ha.d/haresources", "castor trunkline::q1\n");
    let folder = scratch.dir("ha.d");
    std::fs::copy("/etc/ha.d/shellfuncs", folder.join("shellfuncs"))
        .expect("heartbeat is installed: apt-get install heartbeat");
    folder
}

#[test]
fn heartbeat_moves_the_provider_with_its_resource() {
    if !has_namespaces() {
        return;
    }
    let hosts = Hosts::standbys_of(&[15, 15], TABLE);
    let (castor, pollux) = (0, 1);
    let folders = [folder(&hosts, castor), folder(&hosts, pollux)];
    let manager = |node: usize, action: &str| -> Output {
        run(Command::new("unshare")
            .args(["--uts", "--mount", "--pid", "--fork", "--mount-proc"])
            .args(["sh", "-c", IN_NAMESPACES, "sh", NAMES[node]])
            .arg(&folders[node])
            .arg(action)
            .env("HA_STOPRETRYMAX", "1"))
    };
    let owns = |node: usize| manager(node, "status").code == 0;
    wait_can(&hosts, pollux);
    assert!(owns(castor) && !owns(pollux));

    // Only heartbeat has died on castor: a planned switchover, and no fork.
    manager(pollux, "takegroup").ok();
    assert_eq!(hosts.role(pollux), "provider 2");
    assert!(owns(pollux) && !owns(castor));
    hosts.wait_role(castor, "standby 2");
    // It is taken again, and given away twice.
    manager(pollux, "takegroup").ok();
    for _ in 0..2 {
        manager(pollux, "givegroup").ok();
        assert_eq!(hosts.role(pollux), "fenced 2");
        assert!(!owns(pollux));
    }
    manager(castor, "givegroup").ok();
    manager(pollux, "takegroup").ok();
    assert_eq!(hosts.role(pollux), "provider 2");
}
