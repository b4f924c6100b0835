//! Rows that are not as their changes say: they are stored, counted and logged, or they stop their table.

use sql::{
    name::TableName,
    queue::tick::TickId,
    subscriber::{
        conflict::OnConflict,
        conflict::{self, ConflictCount, ConflictKind},
    },
};

use super::{ApplyTx, staged::Differences, table::Target};
use crate::trouble::{NotAsSaid, Trouble};

/// How many keys of a table may wait for the end of the transaction. If there are more, all count as conflicts at once.
const OPEN_KEYS: usize = 10_000;

impl ApplyTx<'_> {
    /// Stops a table whose rows do not stay as they are written, or are not this job's. For any other table it notes
    /// the rows that were not as their change said, until the end of the transaction.
    pub(super) async fn judge(
        &mut self,
        target: &Target,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let (shape, table) = (&target.shape, target.shape.table_name());
        if differences.outside {
            return Err(target.row_outside());
        }
        if differences.unruly {
            return Err(Trouble::not_as_said(
                &table,
                NotAsSaid::Unruly,
                "look for triggers (ENABLE ALWAYS or REPLICA) and rules of the subscriber's table \
                 that take rows away, and for a key that it holds more than once",
            ));
        }
        let found = differences
            .by_kind()
            .into_iter()
            .flat_map(|(kind, keys)| keys.iter().map(move |key| (kind, key.clone())));
        let one = self.done.conflicts.of(shape, tick);
        one.open.extend(found);
        if one.open.len() > OPEN_KEYS {
            self.store_conflicts().await?;
        }
        Ok(())
    }

    /// Stores and counts the conflicts that no later change has taken back, or stops a table, as is configured.
    pub(super) async fn store_conflicts(&mut self) -> Result<(), Trouble> {
        for one in &mut self.done.conflicts.tables {
            let open = std::mem::take(&mut one.open);
            for kind in [ConflictKind::Missing, ConflictKind::Exists] {
                let of_kind = open.iter().filter(|(of, _)| *of == kind);
                let keys: Vec<String> = of_kind.map(|(_, key)| key.clone()).collect();
                if keys.is_empty() {
                    continue;
                }
                let choice = self.applier.choices.get(&one.provider_oid).copied();
                match choice.unwrap_or(self.applier.on_conflict) {
                    OnConflict::Overwrite => {}
                    OnConflict::Stop => return Err(stopped(&one.table, kind, keys.len())),
                }
                let found = ConflictCount {
                    table: &one.table,
                    provider_oid: one.provider_oid,
                    kind,
                    keys: &keys,
                    tick: one.tick,
                };
                let key_hash =
                    conflict::store(&*self.applier.session, &self.applier.consumer, &found).await?;
                match kind {
                    ConflictKind::Missing => one.missing += keys.len(),
                    ConflictKind::Exists => one.exists += keys.len(),
                }
                // In the log the first key stands for all; a table without a key has no key to log.
                if let Some(first) = key_hash
                    && one.key_hash.is_empty()
                {
                    one.key_hash = first;
                }
            }
        }
        Ok(())
    }
}

fn stopped(table: &TableName, kind: ConflictKind, rows: usize) -> Trouble {
    Trouble::not_as_said(
        table,
        NotAsSaid::Conflict { rows, kind },
        "put the rows right on the subscriber, drop the change (replay skip TABLE), or \
         let the provider's rows win: replay add TABLE --on-conflict overwrite",
    )
}
