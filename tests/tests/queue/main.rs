//! The queue: installed, ticked, rotated, held, limited and restored, beside its daemon and without it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod clock;
mod daemon;
mod delivery;
mod grow;
mod held;
mod holders;
mod install;
mod pgq;
mod restored;
mod retention;
mod rotation;
mod setup;
mod ticking;
mod ticks;
mod transactions;
