//! Folds the changes of one table into the last state of each row. Pure: no IO, no clock.
//!
//! A change is a state ("the row with this key is now this", "no row has this key"). So of several changes of one key
//! only the last one counts, and the first one says what the subscriber must have beforehand.
//!
//! Keys are compared as text. Where equal keys can differ in text (`1.0` and `1.00`), the
//! fold keeps the order of events instead: every event becomes a change set of its own.

mod change_set;
pub(crate) mod chunk;
mod keys;

use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use sql::event::shape::Shape;

pub(crate) use self::change_set::ChangeSet;
use self::keys::Keys;
use crate::change::{Rows, Said};

/// The memory of a row of a table without a key beside its text: the map's entry and its share of the index.
const BYTES_PER_SUM: usize = 128;

/// The changes of one table since the last flush.
#[derive(Debug)]
pub(crate) struct TableFold {
    shape: Arc<Shape>,
    by_text: bool,
    truncate: bool,
    keys: Keys,
    /// Sums by whole rows, for a table without a key.
    sums: IndexMap<Bytes, i64, RandomState>,
    sums_bytes: usize,
    /// Finished sets, if the order of events is kept.
    done: Vec<ChangeSet>,
    done_bytes: usize,
}

impl TableFold {
    /// An empty fold of rows of this shape.
    pub(crate) fn new(shape: Arc<Shape>) -> TableFold {
        TableFold {
            by_text: shape.key_text_is_equality(),
            shape,
            truncate: false,
            keys: Keys::default(),
            sums: IndexMap::default(),
            sums_bytes: 0,
            done: Vec::new(),
            done_bytes: 0,
        }
    }

    /// The shape of the fold's rows.
    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Bytes that the fold holds in memory, block buffers included.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes() + self.sums_bytes + self.done_bytes
    }

    /// Takes a block of rows.
    pub(crate) fn block(&mut self, rows: Rows) {
        match rows.said {
            Said::More => self.sum(&rows, 1),
            Said::Less => self.sum(&rows, -1),
            Said::Inserted | Said::Updated | Said::Deleted | Said::Live | Said::Gone => {
                self.keys.block(rows.said, rows.buffer, &rows.rows);
                if !self.by_text {
                    self.close_set();
                }
            }
        }
    }

    fn sum(&mut self, rows: &Rows, one: i64) {
        let before = self.sums.len();
        for at in &rows.rows {
            let row = rows.buffer.slice_ref(at.key.of(&rows.buffer));
            *self.sums.entry(row).or_insert(0) += one;
        }
        self.sums_bytes += rows.buffer.len() + (self.sums.len() - before) * BYTES_PER_SUM;
    }

    /// Takes the emptying of the table: all earlier changes are dropped.
    pub(crate) fn truncate(&mut self) {
        *self = TableFold::new(Arc::clone(&self.shape));
        self.truncate = true;
    }

    fn close_set(&mut self) {
        let mut set = ChangeSet::new(Arc::clone(&self.shape));
        set.truncate = std::mem::take(&mut self.truncate);
        self.done_bytes += self.keys.bytes() + self.sums_bytes;
        self.sums_bytes = 0;
        self.keys.drain_into(&mut set);
        set.sums = self.sums.drain(..).filter(|(_, n)| *n != 0).collect();
        if !set.is_empty() {
            self.done.push(set);
        }
    }

    /// The change sets, to be applied one after the other; mostly there is one set.
    pub(crate) fn into_sets(mut self) -> Vec<ChangeSet> {
        self.close_set();
        self.done
    }
}

#[cfg(test)]
mod tests;
