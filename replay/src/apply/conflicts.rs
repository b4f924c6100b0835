//! Rows that are not as their changes say: stored, counted and logged, or their table stops.

use sql::{
    conflict::{self, Kind},
    name::TableName,
    tick::TickId,
};
use tracing::warn;

use super::{Applier, OnConflict, sets::Differences};
use crate::trouble::Trouble;

/// Conflicts of one set that are logged one by one; the rest is counted in one line.
const LOGGED_CONFLICTS: usize = 5;

impl Applier {
    /// Stops a table whose rows do not stay as they are written; notes the conflicts of any
    /// other.
    pub(super) async fn judge(
        &mut self,
        table: &TableName,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if differences.unruly {
            return Err(Trouble::misfit(
                table,
                "its statements did not touch each row once".into(),
                "look for triggers (ENABLE ALWAYS or REPLICA) and rules of the subscriber's table \
                 that take rows away, and for a key that it holds more than once",
            ));
        }
        self.note(table, differences, tick).await
    }

    /// Stores, counts and logs conflicts, or stops the table, as the job is configured.
    pub(super) async fn note(
        &mut self,
        table: &TableName,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        for (kind, keys) in differences.by_kind() {
            if keys.is_empty() {
                continue;
            }
            if self.on_conflict == OnConflict::Stop {
                return Err(Trouble::misfit(
                    table,
                    format!(
                        "{} of its rows {} on the subscriber",
                        keys.len(),
                        kind_says(kind)
                    ),
                    "put the rows right on the subscriber, or set on_conflict = \"overwrite\"",
                ));
            }
            let hashes = conflict::store(&*self.session, &self.consumer, table, kind, keys, tick)
                .await
                .map_err(Trouble::database("could not store conflicts"))?;
            self.conflicts += i64::try_from(keys.len()).unwrap_or(i64::MAX);
            for hash in hashes.iter().take(LOGGED_CONFLICTS) {
                warn!(%table, kind = kind.as_str(), key_hash = %hash, tick = tick.0, "conflict");
            }
            if hashes.len() > LOGGED_CONFLICTS {
                warn!(%table, kind = kind.as_str(), rows = hashes.len(), tick = tick.0, "conflicts");
            }
        }
        Ok(())
    }
}

fn kind_says(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "are missing",
        Kind::Exists => "are there already",
    }
}
