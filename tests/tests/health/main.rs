//! Lag and health: what each output says of a replication that does not go on as it should, and that nothing is told
//! twice or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod replicated;
mod stand_still;
mod told;
mod unapplied;
mod waits;

use std::time::Duration;

/// Far above what anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(120);
