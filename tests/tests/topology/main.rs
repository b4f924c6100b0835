//! More than two nodes: what replay writes is replicated on, a tick says what it contains of other nodes' queues, and
//! no change comes back to the node that wrote it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod ahead;
mod archive;
mod chain;
mod circles;
mod copies;
mod events;
mod failover;
mod failover_edges;
mod failover_killed;
mod failover_refused;
mod hop;
mod hop_faults;
mod hop_proofs;
mod hop_tables;
mod hosts;
mod link;
mod members;
mod merge;
mod moving;
mod origins;
mod promotion;
mod promotion_edges;
mod redirection;
mod refusals;
mod rejoin;
mod rejoin_killed;
mod rejoin_kinds;
mod rejoin_torn;
mod relaying;
mod relaying_killed;
mod scripts;
mod set;
mod switchover;
mod switchover_faults;
mod switchover_killed;
mod switchover_many;
mod switchover_refused;
mod switchover_several;
mod uninstall;
mod upgrade;

use std::time::Duration;

/// A wait that only a broken program makes long.
const SOON: Duration = Duration::from_secs(120);
