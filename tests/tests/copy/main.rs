//! The initial copy: parts and streams, indexes and constraints taken away and brought back,
//! copies that die at each step, copies of tables that change or go away, and copying again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod again;
mod catalog;
mod changes;
mod choice;
mod create;
mod ddl;
mod disturbed;
mod held;
mod interleaved;
mod load;
mod network;
mod objects;
mod parts;
mod progress;
mod promoted;
mod settings;
mod several;
mod shapes;
mod steps;

use std::time::Duration;

/// A wait that only a broken program makes long.
const SOON: Duration = Duration::from_secs(120);
