//! Folds the changes of one table into the last state of each row. Pure: no IO, no clock.
//!
//! A change is a state ("the row with this key is now this", "no row has this key"), so of
//! several changes of one key only the last one counts, and the first one says what the
//! subscriber must hold beforehand.
//!
//! Keys are compared as text. Where equal keys can differ in text (`1.0` and `1.00`), the
//! fold keeps the order of events instead: every event becomes a change set of its own.

pub(crate) mod chunk;
mod keys;

use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use sql::event::{row, shape::Shape};

pub(crate) use keys::{RowAt, Span};

use keys::Keys;

use crate::change::Rows;

/// What a block of rows says about each of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The key was new: the row now is as given.
    Inserted,
    /// A row had the key: it now is as given.
    Updated,
    /// A row had the key: none has it now.
    Deleted,
    /// The row now is as given; nothing is known of before.
    Live,
    /// No row has the key now; nothing is known of before.
    Gone,
    /// The row, which stands for a key, is there once more.
    More,
    /// The row, which stands for a key, is there once less.
    Less,
}

impl Said {
    /// The word that an operator reads.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Said::Inserted => "insert",
            Said::Updated => "update",
            Said::Deleted => "delete",
            Said::Live => "live",
            Said::Gone => "gone",
            Said::More => "plus",
            Said::Less => "minus",
        }
    }
}

/// What is to be done to one table, in this order: empty it, delete, update, put, insert.
/// No key stands twice. Rows and keys are record text without the outer parentheses.
#[derive(Debug)]
pub(crate) struct ChangeSet {
    /// The shape of rows and keys.
    pub shape: Arc<Shape>,
    /// Empty the table first.
    pub truncate: bool,
    /// Keys of rows that must be there and must go.
    pub deletes: Vec<Bytes>,
    /// Keys that no row may have afterwards.
    pub gone: Vec<Bytes>,
    /// New rows for keys that must be there.
    pub updates: Vec<Bytes>,
    /// New rows for keys that may be there or not.
    pub puts: Vec<Bytes>,
    /// New rows for keys that must not be there.
    pub inserts: Vec<Bytes>,
    /// Rows of a table without a key: how many times more, or less, each is to be there. A sum
    /// over whole transactions only: a part of one may take away what its rest adds.
    pub sums: Vec<(Bytes, i64)>,
}

impl ChangeSet {
    fn new(shape: Arc<Shape>) -> ChangeSet {
        ChangeSet {
            shape,
            truncate: false,
            deletes: Vec::new(),
            gone: Vec::new(),
            updates: Vec::new(),
            puts: Vec::new(),
            inserts: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Rows and keys in the set.
    pub(crate) fn len(&self) -> usize {
        self.deletes.len()
            + self.gone.len()
            + self.updates.len()
            + self.puts.len()
            + self.inserts.len()
            + self.sums.len()
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        !self.truncate && self.len() == 0
    }

    /// The set in two: rows that go, and rows that come or change. Neither empties the table.
    pub(crate) fn goes_and_comes(&self) -> (ChangeSet, ChangeSet) {
        let mut goes = ChangeSet::new(Arc::clone(&self.shape));
        goes.deletes.clone_from(&self.deletes);
        goes.gone.clone_from(&self.gone);
        let mut comes = ChangeSet::new(Arc::clone(&self.shape));
        comes.updates.clone_from(&self.updates);
        comes.puts.clone_from(&self.puts);
        comes.inserts.clone_from(&self.inserts);
        comes.sums.clone_from(&self.sums);
        (goes, comes)
    }

    /// All whole rows, in the order in which [`ChangeSet::narrowed`] wants to know of each.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Bytes> {
        self.updates
            .iter()
            .chain(&self.puts)
            .chain(&self.inserts)
            .chain(self.sums.iter().map(|(row, _)| row))
    }

    /// The set for a subscriber that wants a part of the rows; `takes` says it of each of `rows`.
    ///
    /// Whether the row that was there before was wanted, nobody knows, so nothing is said of
    /// before: a row that is wanted may be there or not, and one that is not wanted must not be
    /// there. But where no row was before, none is on the subscriber either.
    pub(crate) fn narrowed(&self, takes: &[bool]) -> ChangeSet {
        let mut takes = takes.iter().copied();
        let mut is_taken = move || takes.next().unwrap_or(false);
        let key_fields = self.shape.key_fields();
        let mut set = ChangeSet::new(Arc::clone(&self.shape));
        set.truncate = self.truncate;
        set.gone = self.gone.iter().chain(&self.deletes).cloned().collect();
        for row in self.updates.iter().chain(&self.puts) {
            if is_taken() {
                set.puts.push(row.clone());
            } else {
                let key = row::project(row, &key_fields);
                set.gone.push(Bytes::copy_from_slice(&key));
            }
        }
        let inserts = self.inserts.iter().filter(|_| is_taken());
        set.inserts = inserts.cloned().collect();
        let sums = self.sums.iter().filter(|_| is_taken());
        set.sums = sums.cloned().collect();
        set
    }
}

/// Memory that a row of a table without a key costs beside its text: the map's entry and its
/// share of the index.
const BYTES_PER_SUM: usize = 128;

/// The changes of one table since the last flush.
#[derive(Debug)]
pub(crate) struct TableFold {
    shape: Arc<Shape>,
    by_text: bool,
    truncate: bool,
    keys: Keys,
    /// By whole rows, for a table without a key.
    sums: IndexMap<Bytes, i64, RandomState>,
    sums_bytes: usize,
    /// Finished sets, where the order of events is kept.
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

    /// The shape of the rows in it.
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

    /// The table was emptied: nothing that came before matters.
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

    /// The change sets, to be applied one after the other. Mostly one.
    pub(crate) fn into_sets(mut self) -> Vec<ChangeSet> {
        self.close_set();
        self.done
    }
}

#[cfg(test)]
mod tests;
