//! The rules that lead clients to the provider, as redirect_command has them made.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{Output, Scratch, choose, run};

use crate::has_namespaces;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/ha/redirect-iptables")
}

/// Programs of iptables that only write down what they are told.
fn echoing() -> Scratch {
    let scratch = Scratch::new();
    for (name, script) in [
        (
            "iptables",
            "case \"$*\" in *-C*) exit 1 ;; esac; echo \"iptables $*\"",
        ),
        ("iptables-restore", "echo \"restore $*\"; cat"),
    ] {
        let path = scratch.file(
            name,
            &format!(
                "#!/bin/sh\n{{ {script}; }} >> {}/rules\n",
                scratch.path().display()
            ),
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    scratch
}

#[test]
fn the_rules_are_made_in_one_step_and_what_is_no_host_reaches_none() {
    let scratch = echoing();
    let path = format!("{}:/usr/bin:/bin", scratch.path().display());
    let redirect = |client: &str| -> Output {
        run(Command::new(shipped())
            .args(["pollux", client, "2"])
            .env("PATH", &path))
    };
    let rules = || std::fs::read_to_string(scratch.path().join("rules")).unwrap_or_default();
    let trap = scratch.path().join("trap");
    for hostile in [
        "",
        "dbname=db1",
        "host= dbname=db1",
        "host=a;b",
        &format!("host=$(touch {})", trap.display()),
        "ghost=127.0.0.1",
    ] {
        redirect(hostile)
            .code(1)
            .says(&["no host in client_db of pollux"]);
    }
    assert_eq!(rules(), "");
    assert!(!trap.exists());
    let said = redirect("port=5432 host=127.0.0.1 dbname=db1").ok();
    assert_eq!(
        said.text(),
        "port 6432 leads to 127.0.0.1:5432, provider pollux of term 2"
    );
    assert_eq!(
        rules(),
        "restore --noflush\n*nat\n:TRUNKLINE_IN - [0:0]\n:TRUNKLINE_OUT - [0:0]\n:TRUNKLINE_BACK - [0:0]\n\
         -A TRUNKLINE_IN -p tcp --dport 6432 -j DNAT --to-destination 127.0.0.1:5432\n\
         -A TRUNKLINE_OUT -p tcp -m addrtype --dst-type LOCAL --dport 6432 -j DNAT --to-destination 127.0.0.1:5432\n\
         -A TRUNKLINE_BACK -p tcp -d 127.0.0.1 --dport 5432 -m conntrack --ctstate DNAT -j MASQUERADE\nCOMMIT\n\
         iptables -t nat -A PREROUTING -j TRUNKLINE_IN\niptables -t nat -A OUTPUT -j TRUNKLINE_OUT\n\
         iptables -t nat -A POSTROUTING -j TRUNKLINE_BACK\n"
    );
}

/// Two addresses of one namespace, each with a server that says its name; then the connections that go to either.
const REAL: &str = r#"
set -eu
ip link set lo up
ip addr add 10.77.0.1/32 dev lo
ip addr add 10.77.0.2/32 dev lo
cat > "$1/server.py" <<'PYTHON'
import socket, sys
server = socket.socket()
server.bind((sys.argv[1], 5432))
server.listen()
while True:
    client, _ = server.accept()
    client.sendall(sys.argv[2].encode())
    client.close()
PYTHON
python3 "$1/server.py" 10.77.0.1 castor & first=$!
python3 "$1/server.py" 10.77.0.2 pollux & second=$!
trap 'kill $first $second' EXIT
ask() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        python3 -c "import socket; print(socket.create_connection(('$1', $2), 5).recv(99).decode())" 2>/dev/null && return
        sleep 1
    done
    echo nobody
}
ask 10.77.0.1 5432
ask 10.77.0.2 5432
"$2" castor "host=10.77.0.1" 1 > "$1/said"
ask 10.77.0.1 6432
ask 10.77.0.2 6432
"$2" pollux "host=10.77.0.2" 2 > "$1/said"
ask 10.77.0.1 6432
ask 127.0.0.1 6432
"$2" pollux "host=10.77.0.2" 2 > "$1/said"
iptables -t nat -S | grep -c TRUNKLINE
"#;

#[test]
fn real_connections_are_led_to_the_provider_and_the_rules_do_not_grow() {
    let has_iptables = Path::new("/usr/sbin/iptables").exists()
        || !choose("iptables", vec![()], Vec::new()).is_empty();
    if !has_iptables || !has_namespaces() {
        return;
    }
    let scratch = Scratch::new();
    let said = run(Command::new("unshare")
        .args(["--net", "bash", "-c", REAL, "bash"])
        .arg(scratch.path())
        .arg(shipped()))
    .ok();
    assert_eq!(
        said.stdout,
        "castor\npollux\ncastor\ncastor\npollux\npollux\n9\n"
    );
}
