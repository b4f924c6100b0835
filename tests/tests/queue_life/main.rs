//! A queue's life beside its ordinary work: what holds it, what limits that, clocks, transactions of every kind, restored
//! servers, and PgQ itself.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

#[path = "../queue_setup/mod.rs"]
mod queue_setup;

mod clock;
mod delivery;
mod grow;
mod held;
mod pgq;
mod restored;
mod retention;
mod ticking;
mod transactions;
