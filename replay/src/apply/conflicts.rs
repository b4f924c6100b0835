//! Rows that are not as their changes say: stored, counted and logged, or their table stops.

use sql::{
    conflict::{self, Found, Kind},
    name::TableName,
    shape::Shape,
    table_state::TableRow,
    tick::TickId,
};
use tracing::warn;

use super::{Applier, OnConflict, sets::Differences};
use crate::trouble::{NotAsSaid, Trouble};

/// What the open transaction has found.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    tables: Vec<OfTable>,
}

/// What it has found of one table.
#[derive(Debug)]
struct OfTable {
    table: TableName,
    missing: usize,
    exists: usize,
    /// Of the first row.
    key_hash: String,
    tick: TickId,
}

impl Conflicts {
    /// Forgets all: a transaction begins.
    pub(super) fn clear(&mut self) {
        self.tables.clear();
    }

    /// Rows that were not as their changes said.
    pub(super) fn count(&self) -> i64 {
        let rows: usize = self.tables.iter().map(|one| one.missing + one.exists).sum();
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Logs them, one line a table: the transaction that stored them is committed.
    pub(super) fn tell(&mut self) {
        for one in self.tables.drain(..) {
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

    fn of(&mut self, table: &TableName, tick: TickId) -> &mut OfTable {
        let place = self.tables.iter().position(|one| one.table == *table);
        let place = place.unwrap_or_else(|| {
            self.tables.push(OfTable {
                table: table.clone(),
                missing: 0,
                exists: 0,
                key_hash: String::new(),
                tick,
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

    /// Stops a table whose rows do not stay as they are written; notes the conflicts of any
    /// other.
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
        for (kind, keys) in differences.by_kind() {
            if !keys.is_empty() {
                self.note(shape, kind, keys, tick).await?;
            }
        }
        Ok(())
    }

    /// Stores and counts conflicts, or stops the table, as is configured.
    async fn note(
        &mut self,
        shape: &Shape,
        kind: Kind,
        keys: &[String],
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = shape.table_name();
        let provider_oid = shape.table.oid;
        let choice = self.choices.get(&provider_oid).copied();
        match choice.unwrap_or(self.on_conflict) {
            OnConflict::Overwrite => {}
            OnConflict::Stop => {
                return Err(Trouble::not_as_said(
                    &table,
                    NotAsSaid::Conflict {
                        rows: keys.len(),
                        kind,
                    },
                    "put the rows right on the subscriber, drop the change (replay skip TABLE), or \
                     let the provider's rows win: replay add TABLE --on-conflict overwrite",
                ));
            }
        }
        let found = Found {
            table: &table,
            provider_oid,
            kind,
            keys,
            tick,
        };
        let key_hash = conflict::store(&*self.session, &self.consumer, &found)
            .await
            .map_err(Trouble::database("could not store conflicts"))?;
        let noted = self.conflicts.of(&table, tick);
        match kind {
            Kind::Missing => noted.missing += keys.len(),
            Kind::Exists => noted.exists += keys.len(),
        }
        // The first one stands for all in the log; without keys there is none.
        if let Some(first) = key_hash
            && noted.key_hash.is_empty()
        {
            noted.key_hash = first;
        }
        Ok(())
    }
}
