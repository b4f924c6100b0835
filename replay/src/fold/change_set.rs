//! The changes to one table of a subscriber, as sets of rows and keys. Pure.

use std::sync::Arc;

use bytes::Bytes;
use sql::event::{row, shape::Shape};

/// The changes to one table, to be applied in this order: empty the table, delete, update, put, insert. No key is in
/// the set twice. Rows and keys are record text without the outer parentheses.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSet {
    /// The shape of rows and keys.
    pub shape: Arc<Shape>,
    /// Empty the table first.
    pub truncate: bool,
    /// Keys of rows that must exist and must be deleted.
    pub deletes: Vec<Bytes>,
    /// Keys that no row may have afterwards.
    pub gone: Vec<Bytes>,
    /// New rows for keys that must exist.
    pub updates: Vec<Bytes>,
    /// New rows for keys that may exist or not.
    pub puts: Vec<Bytes>,
    /// New rows for keys that must not exist.
    pub inserts: Vec<Bytes>,
    /// Rows of a table without a key, each with how many times more, or less, the table must have it. A sum holds over
    /// whole transactions only: a part of a transaction may take away what the rest of it adds.
    pub sums: Vec<(Bytes, i64)>,
}

impl ChangeSet {
    /// A set that changes nothing yet.
    pub(crate) fn new(shape: Arc<Shape>) -> ChangeSet {
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

    /// Whether the set changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        !self.truncate && self.len() == 0
    }

    /// The set split in two: rows that are deleted, and rows that are inserted or updated. Neither empties the table.
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

    /// All whole rows, in the order of the `takes` of [`ChangeSet::narrowed`].
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Bytes> {
        self.updates
            .iter()
            .chain(&self.puts)
            .chain(&self.inserts)
            .chain(self.sums.iter().map(|(row, _)| row))
    }

    /// The set for a subscriber that wants a part of the rows; `takes` says for each of `rows` whether it is wanted.
    ///
    /// Whether the subscriber wanted the row that a key had before is not known, so the result expects nothing of rows
    /// before: a row that is wanted may exist or not, and a row that is not wanted must not exist afterwards. But if a
    /// key had no row before, the subscriber has no row either.
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
