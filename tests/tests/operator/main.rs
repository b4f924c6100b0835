//! What an operator meets: daemons, logs, connections, the program `trunkline`, the tutorial, and bad input.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod authority;
mod bad_input;
mod daemon;
mod keywords;
mod logs;
mod packages;
mod pooler;
mod repeated;
mod service;
mod sessions;
mod tls;
mod trunkline;
mod tutorial;
mod uninstall;
