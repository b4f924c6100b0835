//! Capture on real servers: what statements log, folded, must be what the tables hold. Never touches a subscriber.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "support code of tests: a panic is the report"
)]

mod add;
mod cases;
mod ddl;
mod format;
mod hostile;
mod identity;
mod nesting;
mod parts;
mod provider;
mod random;
mod rewrites;
mod rows;
mod schema_changes;
mod sequences;
mod serializable;
mod sessions;
mod statements;
mod strangers;
mod values;
