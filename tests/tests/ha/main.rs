//! The real programs that lead clients to the provider, with the files of `etc/ha` but for names and paths.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod cut_off;
mod dead_link;
mod haproxy;
mod heartbeat;
mod iptables;
mod keepalived;
mod namespace;
mod ocf;
mod pgbouncer;
#[allow(dead_code, reason = "the other tests of sets use all of it")]
#[path = "../topology/set.rs"]
mod set;

use std::{path::PathBuf, process::Command, time::Duration};

use tests::{Node, Replication, choose, run};

/// A wait that only a broken program makes long.
const SOON: Duration = Duration::from_secs(120);

/// A provider and its standby, in sync.
fn pair() -> Replication {
    Replication::builder()
        .replay_line("standby = true")
        .running("create table t (id int primary key, v text); insert into t values (1, 'a')")
}

/// `trunkline` with the config file of the provider's ticker.
fn operator(pair: &Replication) -> Node {
    Node::new("trunkline", &pair.scratch, &pair.ticker.config, "ticker1")
}

/// Whether this machine lets us make network namespaces, which takes root. Where it does not, the last line of
/// etc/test.sh says that they are left out; a full run goes on, and fails.
fn has_namespaces() -> bool {
    run(Command::new("unshare").args(["--net", "true"])).code == 0
        || !choose("namespaces", vec![()], Vec::new()).is_empty()
}

/// A file of `etc/ha`, with other words for some of its words.
fn shipped(name: &str, words: &[(&str, &str)]) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../etc/ha", name]
        .iter()
        .collect();
    let mut text = std::fs::read_to_string(path).unwrap();
    for (word, other) in words {
        assert!(text.contains(word), "{name} has no {word:?}");
        text = text.replace(word, other);
    }
    text
}
