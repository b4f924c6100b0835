//! A table is compared on both sides while it is written:
//!
//! 1. Both servers compute sums over the same rows at about the same time (`statements`): of one stretch of keys after
//!    the other; or of groups of rows by their hashes, where the order of the keys is not known to be the same on both
//!    sides.
//! 2. Of stretches and groups that differ, each row's hash is listed, and the keys of rows that differ are candidates.
//! 3. Candidates are looked at on both sides, around a tick, until it is known that they are equal, or differ, or are
//!    changed all the time and followed (`judge`).
//!
//! No snapshot and no lock is held from one question to the next, so a comparison that ends at any time leaves nothing
//! behind. It can go on after the key that it has told last. `since` takes the place of step 1: it names the rows that
//! were changed after a time.

mod comparison;
mod found;
mod groups;
mod judge;
mod plan;
mod recount;
mod report;
mod sides;
mod since;
mod statements;
mod stop;
mod sums;

pub(crate) use self::{
    comparison::{Comparison, Options, Sessions},
    found::{run, run_again, run_since},
    judge::Kind,
    report::{Difference, Report, Sum, describe_key},
    sides::Standing,
    statements::{fields, has_null, nullable_fields},
    stop::Stop,
};
