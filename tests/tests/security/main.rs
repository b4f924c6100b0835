//! Who becomes more than he is by way of our programs: nobody. The rules are in docs/security.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod create;
mod events;
mod gate;
mod left_behind;
mod lookups;
mod names;
mod owners;
mod paths;
mod provider;
mod subscriber;
mod trap;
