//! The queue as others meet it: as an extension from packages, under the real pgqd, and with the real Python client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod clients;
mod examples;
mod extension;
mod stage;

use std::path::PathBuf;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}
