//! What fails around a replication: killed processes, crashed servers, ended sessions, and memory that has a bound.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod around;
mod kill;
mod memory;
mod phase;
mod server;
