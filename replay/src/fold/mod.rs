//! Folds the changes of one table into the last state of each row. Pure: no IO, no clock.
//!
//! A change is a state ("the row with this key is now this", "no row has this key"), so of
//! several changes of one key only the last one counts, and the first one says what the
//! subscriber must hold beforehand.
//!
//! Keys are compared as text. Where equal keys can differ in text (`1.0` and `1.00`), the
//! fold keeps the order of events instead: every event becomes a change set of its own.

pub(crate) mod chunk;

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use foldhash::fast::RandomState;
use indexmap::{IndexMap, map::Entry};
use sql::{row, shape::Shape};

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

/// What the subscriber must hold under a key before the fold is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Row,
    NoRow,
    Unknown,
}

#[derive(Clone, Debug)]
struct KeyState {
    before: Before,
    /// The row's text now; none: no row has the key.
    now: Option<Bytes>,
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

/// Memory that a key costs beside its text: the map's entry and its share of the index.
const BYTES_PER_KEY: usize = 128;

/// The changes of one table since the last flush.
#[derive(Debug)]
pub(crate) struct TableFold {
    shape: Arc<Shape>,
    by_text: bool,
    truncate: bool,
    keys: IndexMap<Bytes, KeyState, RandomState>,
    /// By whole rows, for a table without a key.
    sums: IndexMap<Bytes, i64, RandomState>,
    /// Finished sets, where the order of events is kept.
    done: Vec<ChangeSet>,
    bytes: usize,
}

impl TableFold {
    /// An empty fold of rows of this shape.
    pub(crate) fn new(shape: Arc<Shape>) -> TableFold {
        TableFold {
            by_text: shape.key_text_is_equality(),
            shape,
            truncate: false,
            keys: IndexMap::default(),
            sums: IndexMap::default(),
            done: Vec::new(),
            bytes: 0,
        }
    }

    /// The shape of the rows in it.
    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Bytes that the fold holds in memory, block buffers included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a block: pairs of key and row text (none for `Deleted` and `Gone`), and the
    /// number of bytes that the block's buffer keeps alive.
    pub(crate) fn block(
        &mut self,
        said: Said,
        rows: impl Iterator<Item = (Bytes, Option<Bytes>)>,
        buffer_bytes: usize,
    ) {
        let before = self.keys.len() + self.sums.len();
        for (key, row) in rows {
            self.change(said, key, row);
        }
        self.bytes += buffer_bytes + (self.keys.len() + self.sums.len() - before) * BYTES_PER_KEY;
        if !self.by_text && self.shape.has_key() {
            self.close_set();
        }
    }

    fn change(&mut self, said: Said, key: Bytes, row: Option<Bytes>) {
        let (before, known) = match said {
            Said::Inserted => (Before::NoRow, true),
            Said::Updated | Said::Deleted => (Before::Row, true),
            Said::Live | Said::Gone => (Before::Unknown, false),
            Said::More | Said::Less => {
                let one = if said == Said::More { 1 } else { -1 };
                *self.sums.entry(key).or_insert(0) += one;
                return;
            }
        };
        match self.keys.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(KeyState { before, now: row });
            }
            Entry::Occupied(mut entry) => {
                let state = entry.get_mut();
                state.now = row;
                // A live read follows where a nested statement was logged before the one
                // around it; then the first change that was logged need not be the first
                // that happened, and it says nothing of before.
                if !known {
                    state.before = Before::Unknown;
                }
            }
        }
    }

    /// The table was emptied: nothing that came before matters.
    pub(crate) fn truncate(&mut self) {
        self.keys.clear();
        self.sums.clear();
        self.done.clear();
        self.bytes = 0;
        self.truncate = true;
    }

    fn close_set(&mut self) {
        let mut set = ChangeSet::new(Arc::clone(&self.shape));
        set.truncate = std::mem::take(&mut self.truncate);
        let mut updates = Vec::new();
        for (key, state) in self.keys.drain(..) {
            match (state.before, state.now) {
                (Before::Row, Some(row)) => updates.push((key, row)),
                (Before::Row, None) => set.deletes.push(key),
                (Before::NoRow, Some(row)) => set.inserts.push(row),
                (Before::Unknown, Some(row)) => set.puts.push(row),
                (Before::NoRow | Before::Unknown, None) => set.gone.push(key),
            }
        }
        // Neighbours in the subscriber's index are written one after the other: the server finds
        // their pages in its cache and prunes each page once, and writers of the same rows lock
        // them in one order. New rows keep the order in which they came.
        updates.sort_unstable_by(|(a, _), (b, _)| near(a, b));
        set.updates = updates.into_iter().map(|(_, row)| row).collect();
        set.deletes.sort_unstable_by(near);
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

/// An order of keys' texts that is the order of whole numbers, and near that of most other keys.
fn near(a: &Bytes, b: &Bytes) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests;
