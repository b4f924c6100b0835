//! Rows that are not as their changes say: stored, counted and logged, or their table stops.

use std::{borrow::Cow, collections::HashSet};

use sql::{
    event::{row, shape::Shape},
    name::TableName,
    queue::tick::TickId,
    subscriber::{
        conflict::{self, Found, Kind},
        table_state::TableRow,
    },
};
use tracing::warn;

use super::{Applier, OnConflict, staged::Differences};
use crate::{
    fold::ChangeSet,
    trouble::{NotAsSaid, Trouble},
};

/// Keys of a table that wait for the end of the transaction. With more, all are taken as
/// conflicts at once.
const OPEN_KEYS: usize = 10_000;

/// What the open transaction has found.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    tables: Vec<OfTable>,
}

/// What it has found of one table.
#[derive(Debug)]
struct OfTable {
    table: TableName,
    provider_oid: u32,
    tick: TickId,
    /// Keys of rows that were not as a change said, or whole rows, each as often as it was not there. A later change of the same transaction may
    /// take back what was said, and it may stand in a later part.
    open: Vec<(Kind, String)>,
    /// Rows that are stored.
    missing: usize,
    exists: usize,
    /// Of the first row.
    key_hash: String,
}

impl Conflicts {
    /// Forgets all: a transaction begins.
    pub(super) fn clear(&mut self) {
        self.tables.clear();
    }

    /// Rows that were not as their changes said, as far as they are stored.
    pub(super) fn count(&self) -> i64 {
        let rows: usize = self.tables.iter().map(|one| one.missing + one.exists).sum();
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Logs them, one line a table: the transaction that stored them is committed.
    pub(super) fn tell(&mut self) {
        for one in self.tables.drain(..) {
            // All that was said of its rows may have been taken back.
            if one.missing + one.exists > 0 {
                warn!(
                    table = %one.table,
                    missing = one.missing,
                    exists = one.exists,
                    key_hash = %one.key_hash,
                    tick = one.tick.0,
                    "conflict"
                );
            }
        }
    }

    /// Changes that say nothing of before take back what was said of their keys: they follow
    /// where a nested statement was logged first, whose outer one had touched the rows before.
    pub(super) fn take_back(&mut self, set: &ChangeSet) {
        let table_oid = set.shape.table.oid;
        let Some(one) = self.tables.iter_mut().find(|one| {
            // Not by its name, which may change within the transaction.
            one.provider_oid == table_oid && !one.open.is_empty()
        }) else {
            return;
        };
        let key_fields = set.shape.key_fields();
        let of_rows = set.puts.iter().map(|put| row::project(put, &key_fields));
        let of_keys = set.gone.iter().map(|key| Cow::Borrowed(key.as_ref()));
        let taken_back: HashSet<String> = of_rows
            .chain(of_keys)
            .map(|key| format!("({})", String::from_utf8_lossy(&key)))
            .collect();
        one.open.retain(|(_, key)| !taken_back.contains(key));
    }

    fn of(&mut self, shape: &Shape, tick: TickId) -> &mut OfTable {
        let provider_oid = shape.table.oid;
        let place = self
            .tables
            .iter()
            .position(|one| one.provider_oid == provider_oid);
        let place = place.unwrap_or_else(|| {
            self.tables.push(OfTable {
                table: shape.table_name(),
                provider_oid,
                tick,
                open: Vec::new(),
                missing: 0,
                exists: 0,
                key_hash: String::new(),
            });
            self.tables.len() - 1
        });
        &mut self.tables[place]
    }
}

impl Applier {
    /// Takes the choices of tables that have one of their own.
    pub(crate) fn choose<'a>(&mut self, tables: impl IntoIterator<Item = &'a TableRow>) {
        self.choices = tables
            .into_iter()
            .filter_map(|row| Some((row.provider_oid, row.on_conflict?)))
            .collect();
    }

    /// Stops a table whose rows do not stay as they are written; notes the rows of any other that
    /// were not as was said, until the end of the transaction.
    pub(super) async fn judge(
        &mut self,
        shape: &Shape,
        differences: Differences,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = shape.table_name();
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
        let one = self.conflicts.of(shape, tick);
        one.open.extend(found);
        if one.open.len() > OPEN_KEYS {
            self.store_conflicts().await?;
        }
        Ok(())
    }

    /// Stores and counts what nothing has taken back, or stops a table, as is configured.
    pub(super) async fn store_conflicts(&mut self) -> Result<(), Trouble> {
        for one in &mut self.conflicts.tables {
            let open = std::mem::take(&mut one.open);
            for kind in [Kind::Missing, Kind::Exists] {
                let of_kind = open.iter().filter(|(of, _)| *of == kind);
                let keys: Vec<String> = of_kind.map(|(_, key)| key.clone()).collect();
                if keys.is_empty() {
                    continue;
                }
                let choice = self.choices.get(&one.provider_oid).copied();
                match choice.unwrap_or(self.on_conflict) {
                    OnConflict::Overwrite => {}
                    OnConflict::Stop => return Err(stopped(&one.table, kind, keys.len())),
                }
                let found = Found {
                    table: &one.table,
                    provider_oid: one.provider_oid,
                    kind,
                    keys: &keys,
                    tick: one.tick,
                };
                let key_hash = conflict::store(&*self.session, &self.consumer, &found)
                    .await
                    .map_err(Trouble::database("could not store conflicts"))?;
                match kind {
                    Kind::Missing => one.missing += keys.len(),
                    Kind::Exists => one.exists += keys.len(),
                }
                // The first one stands for all in the log; without keys there is none.
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

fn stopped(table: &TableName, kind: Kind, rows: usize) -> Trouble {
    Trouble::not_as_said(
        table,
        NotAsSaid::Conflict { rows, kind },
        "put the rows right on the subscriber, drop the change (replay skip TABLE), or \
         let the provider's rows win: replay add TABLE --on-conflict overwrite",
    )
}
