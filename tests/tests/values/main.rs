//! Values and names of every kind through whole replications, by the ids of their cases: first by the copy, then by
//! events. Many tables share one running pair.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is the report"
)]

mod encodings;
mod fits;
mod keys;
mod names;
mod pair;
mod statements;
mod types;
