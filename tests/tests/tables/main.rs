//! Replication of tables of every kind, whole: copied, followed, compared.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "support code of tests: a panic is the report"
)]

mod columns;
mod compare;
mod filter_texts;
mod filters;
mod identity;
mod life;
mod locks;
mod many;
mod mapping;
mod merge;
mod partitions;
mod passing;
mod repair;
mod rewrites;
mod schema_changes;
mod scripts;
mod scripts_failed;
mod since;
