//! A restore: a base, and what the archive has after it, up to a target, in a database.
//!
//! 1. The plan is made: base, segments, target (`plan`); it is noted in the database that is restored into.
//! 2. The schema is made, without what comes after the rows (`schema`); of single tables, tables like them.
//! 3. The tables' parts are loaded, each counted and hashed (`load`).
//! 4. Indexes are built, and statistics are made (`schema`).
//! 5. The tables are followed from the base's tick, and the archive's frames are applied up to the target (`run`).
//! 6. The sequences are set.
//! 7. All else of the schema is made: foreign keys, triggers, rules and the like (`schema`).
//! 8. What was noted is forgotten; where schema trunkline was made for the restore, it goes. With `--then subscribe`
//!    the position and the tables become a subscriber's, in one transaction (`heir`).
//!
//! Each step is noted in the transaction that does it. So a restore that was killed is made again with the same words,
//! and goes on where it was.

pub(crate) mod entries;
mod heir;
mod load;
pub(crate) mod plan;
mod run;
pub(crate) mod schema;
pub(crate) mod server;
mod target;
mod unknown;

pub(crate) use self::{heir::Heir, run::Restored, target::Restoring};
