//! The folds of all tables of a chunk, and the chunk's size in memory. Pure.

use std::sync::Arc;

use indexmap::{IndexMap, map::Entry};
use sql::event::shape::Shape;

use super::{ChangeSet, TableFold};
use crate::change::Rows;

/// Changes of any number of tables since the last flush, by the table's oid.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    tables: IndexMap<u32, TableFold>,
    /// Sets of tables whose shape has changed within the chunk.
    closed: Vec<ChangeSet>,
    bytes: usize,
}

impl Chunk {
    /// Takes a block of rows.
    pub(crate) fn rows(&mut self, rows: Rows) {
        let fold = fold_of(&mut self.tables, &mut self.closed, &rows.shape);
        let before = fold.bytes();
        fold.block(rows);
        // A fold may hold less than before, if the rows replace older rows.
        self.bytes = self.bytes - before + fold.bytes();
    }

    /// Takes the emptying of a table: all earlier changes are dropped, also those under an older shape. Tables are
    /// emptied before any set of a chunk is written, so a set of earlier changes would put its rows back.
    pub(crate) fn truncate(&mut self, shape: &Arc<Shape>) {
        let fold = fold_of(&mut self.tables, &mut self.closed, shape);
        self.bytes -= fold.bytes();
        fold.truncate();
        self.closed
            .retain(|set| set.shape.table.oid != shape.table.oid);
    }

    /// Bytes that the chunk holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all sets out, to be applied; those of one table are in order.
    pub(crate) fn take(&mut self) -> Vec<ChangeSet> {
        self.bytes = 0;
        let mut sets = std::mem::take(&mut self.closed);
        for (_, fold) in std::mem::take(&mut self.tables) {
            sets.extend(fold.into_sets());
        }
        sets
    }
}

/// The fold for rows of a shape; a fold for another shape of the same table is closed first.
fn fold_of<'a>(
    tables: &'a mut IndexMap<u32, TableFold>,
    closed: &mut Vec<ChangeSet>,
    shape: &Arc<Shape>,
) -> &'a mut TableFold {
    match tables.entry(shape.table.oid) {
        Entry::Vacant(entry) => entry.insert(TableFold::new(Arc::clone(shape))),
        Entry::Occupied(entry) => {
            let fold = entry.into_mut();
            if fold.shape().shape != shape.shape {
                let old = std::mem::replace(fold, TableFold::new(Arc::clone(shape)));
                closed.extend(old.into_sets());
            }
            fold
        }
    }
}
