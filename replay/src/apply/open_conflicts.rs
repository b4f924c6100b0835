//! The rows of the open transaction that are not as their changes say. Pure but for the log.

use std::{borrow::Cow, collections::HashSet};

use sql::{
    event::{row, shape::Shape},
    name::TableName,
    queue::tick::TickId,
    subscriber::conflict::ConflictKind,
};
use tracing::warn;

use crate::fold::ChangeSet;

/// The conflicts of the open transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts {
    pub(super) tables: Vec<OfTable>,
}

/// The conflicts of the open transaction in one table.
#[derive(Clone, Debug)]
pub(super) struct OfTable {
    pub(super) table: TableName,
    pub(super) provider_oid: u32,
    pub(super) tick: TickId,
    /// Keys of rows that were not as a change said; of a table without a key whole rows, each as often as it was
    /// missing. A later change of the same transaction may take a conflict back, and may come in a later part.
    pub(super) open: Vec<(ConflictKind, String)>,
    /// The number of stored rows, by kind.
    pub(super) missing: usize,
    pub(super) exists: usize,
    /// The hash of the first row's key.
    pub(super) key_hash: String,
}

impl Conflicts {
    /// The number of conflicts that are stored.
    pub(super) fn count(&self) -> i64 {
        let rows: usize = self.tables.iter().map(|one| one.missing + one.exists).sum();
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    /// Logs the conflicts, one line a table, when the transaction that stored them is committed.
    pub(super) fn tell(&mut self) {
        for one in self.tables.drain(..) {
            // All conflicts of the table may have been taken back.
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

    /// Changes that say nothing of the row before take back the conflicts of their keys. Such a change follows if a
    /// nested statement was logged first, and the statement around it had touched the rows before.
    pub(super) fn take_back(&mut self, set: &ChangeSet) {
        let table_oid = set.shape.table.oid;
        let Some(one) = self.tables.iter_mut().find(|one| {
            // The table is not compared by its name, which may change within the transaction.
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

    /// The conflicts of one table.
    pub(super) fn of(&mut self, shape: &Shape, tick: TickId) -> &mut OfTable {
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
