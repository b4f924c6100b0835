//! Real PostgreSQL servers, real daemons and real terminals for the tests and
//! the benchmarks: throw-away clusters of any supported version, the built
//! programs, whole replications, writers that never stop, and row by row
//! comparison of both sides.
//!
//! Everything here reports by panicking, because its callers are tests: a
//! message names what was run and what came back. Everything that is started
//! is ended when its owner is dropped, and by a watchdog process when the test
//! itself is killed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "support code of tests: a panic is the report"
)]

mod browser;
mod bucket;
mod cluster;
mod compare;
mod extent;
mod load;
mod logs;
mod node;
mod pooler;
mod port;
mod process;
mod programs;
mod replication;
mod scratch;
mod server;
mod session;
pub mod trap;
pub mod vectors;
mod wait;

pub use browser::Browser;
pub use bucket::{Bucket, Fault};
pub use cluster::{Cluster, ClusterBuilder, Stop};
pub use compare::{Digest, compare, digest, same, tables_of};
pub use extent::{choose, full};
pub use load::{Load, Reader, Totals, Transfers, Writes};
pub use logs::{assert_clean, unclean_lines};
pub use node::{Daemons, Node};
pub use pooler::Pooler;
pub use port::Port;
pub use process::{Output, children, peak_rss_kb, pid_alive, run, run_in, signal};
pub use programs::Programs;
pub use replication::{Replication, ReplicationBuilder, TableState, configure};
pub use scratch::Scratch;
pub use server::{Server, is_root};
pub use session::{Session, ask};
pub use wait::{shortest_try, wait_until, wait_value};
