//! A base: the rows of an archive's tables at a tick, beside which the archive has all that follows.
//!
//! 1. The lock of the archive's bases is taken: one is made at a time.
//! 2. The tables are locked, and only then one snapshot is taken, of which the tick is known (`source`).
//! 3. The shapes are read, the schema is dumped, the shapes are read again; where they differ, once more (`schema`).
//! 4. Parts of the tables are read and written by several streams (`part`).
//! 5. The sequences are read: they are at least what they were at the tick.
//! 6. The archive has to reach the tick: what is listed can be restored.
//! 7. The manifest is made.
//!
//! A kill before step 7 leaves a directory without a manifest, which counts for nothing, and nothing else.

mod make;
mod making;
pub(crate) mod pace;
mod part;
pub(crate) mod schedule;
mod schema;
mod source;

pub(crate) use self::making::{From, Making};
