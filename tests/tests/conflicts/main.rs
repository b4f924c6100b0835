//! What the subscriber does not take as it comes: rows that are not as their change says,
//! changes that it refuses and an operator drops, rights, other sessions in the way.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod adopt;
mod contention;
mod counted;
mod definitions;
mod foreign;
mod nothing;
mod ordinary;
mod owners;
mod roles;
mod skip;
mod triggers;

use std::time::Duration;

use tests::Replication;

/// A wait that only a broken program makes long.
const SOON: Duration = Duration::from_secs(120);

/// Waits until a table of the first subscriber is parked, and gives what is said of it then.
#[track_caller]
fn parked(replication: &Replication, table: &str) -> serde_json::Value {
    replication.wait_parked(table, &[])
}

/// What `replay tables --json` says of a table of the first subscriber.
#[track_caller]
fn told(replication: &Replication, table: &str) -> serde_json::Value {
    let text = replication.replay.run(&["tables", "--json"]).ok().stdout;
    let tables: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tables = tables.as_array().unwrap();
    tables
        .iter()
        .find(|one| one["table"] == table)
        .unwrap_or_else(|| panic!("{table} is not in {text}"))
        .clone()
}
