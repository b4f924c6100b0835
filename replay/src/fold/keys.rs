//! The last state of each key of a table, as places in the buffers that the texts came in. Pure.
//!
//! A backlog is mostly rows that are changed once. So the memory that a key costs beside its text decides how much of a
//! backlog is folded before it must be written. Here a key costs 24 bytes and a slot of an index; in a map of texts it
//! would cost 130. A buffer whose rows have all been replaced is freed. So rows that are written again and again hold
//! one text each, or a page of texts.

use std::{cmp::Ordering, hash::BuildHasher};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::Entry as Slot};

use super::change_set::ChangeSet;
use crate::change::{RowAt, Said, Span};

/// What the subscriber must have under a key before the fold is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Row,
    NoRow,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The buffer that key and row are in.
    buffer: u32,
    key: Span,
    /// The row's text, if there is one.
    row: Span,
    is_there: bool,
    before: Before,
}

/// The memory of a key beside its text: the entry, for which the vector may have allocated the same again, its share of
/// the index, and the handle that a change set has of its text.
const BYTES_PER_KEY: usize = 56;

/// The memory of a buffer beside its bytes.
const BYTES_PER_BUFFER: usize = 80;

/// Blocks up to this size are copied together, so that a single row allocates no memory of its own: the allocation was
/// a quarter of the reader's work.
const SHORT_BYTES: usize = 1 << 10;

/// The size of a buffer of short blocks, which is freed as a whole.
const PAGE_BYTES: usize = 32 << 10;

#[derive(Debug)]
struct Buffer {
    text: Bytes,
    /// The number of entries that point into the buffer.
    used: u32,
}

/// The texts of keys and rows.
#[derive(Debug, Default)]
struct Buffers {
    all: Vec<Buffer>,
    /// The text of the buffer that short blocks are added to, and that buffer's number.
    page: Vec<u8>,
    page_number: Option<usize>,
    bytes: usize,
}

impl Buffers {
    /// Takes a block's text; gives the number of its buffer, and where the text begins in the buffer.
    fn take(&mut self, block: Bytes) -> (usize, u32) {
        if block.len() > SHORT_BYTES {
            return (self.add(block), 0);
        }
        if self.page.len() + block.len() > PAGE_BYTES {
            self.close_page();
        }
        let number = match self.page_number {
            Some(number) => number,
            None => {
                let number = self.add(Bytes::new());
                self.page_number = Some(number);
                number
            }
        };
        // The length is below `PAGE_BYTES`.
        let start = u32::try_from(self.page.len()).unwrap_or(u32::MAX);
        self.page.extend_from_slice(&block);
        self.bytes += block.len();
        (number, start)
    }

    fn add(&mut self, text: Bytes) -> usize {
        self.bytes += text.len() + BYTES_PER_BUFFER;
        self.all.push(Buffer { text, used: 0 });
        self.all.len() - 1
    }

    fn close_page(&mut self) {
        if let Some(number) = self.page_number.take() {
            self.all[number].text = Bytes::from(std::mem::take(&mut self.page));
            self.let_go_if_unused(number);
        }
    }

    /// The text that an entry points into.
    fn text(&self, entry: &Entry) -> &[u8] {
        let number = entry.buffer as usize;
        if self.page_number == Some(number) {
            &self.page
        } else {
            &self.all[number].text
        }
    }

    fn let_go_if_unused(&mut self, number: usize) {
        let buffer = &mut self.all[number];
        if buffer.used > 0 {
            return;
        }
        if self.page_number == Some(number) {
            self.bytes -= self.page.len();
            self.page.clear();
        } else {
            self.bytes -= buffer.text.len();
            buffer.text = Bytes::new();
        }
    }
}

/// The keys of one table's changes.
#[derive(Debug, Default)]
pub(super) struct Keys {
    hasher: RandomState,
    index: HashTable<u32>,
    entries: Vec<Entry>,
    buffers: Buffers,
}

impl Keys {
    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.buffers.bytes + self.entries.len() * BYTES_PER_KEY
    }

    /// Takes the changes of a block's keys; not `More` and `Less`, which have no key.
    pub(super) fn block(&mut self, said: Said, buffer: Bytes, rows: &[RowAt]) {
        let (before, is_known) = match said {
            Said::Inserted => (Before::NoRow, true),
            Said::Updated | Said::Deleted => (Before::Row, true),
            Said::Live | Said::Gone | Said::More | Said::Less => (Before::Unknown, false),
        };
        let (number, start) = self.buffers.take(buffer);
        for at in rows {
            let at = RowAt {
                key: at.key.behind(start),
                row: at.row.map(|row| row.behind(start)),
            };
            self.change(number, &at, before, is_known);
        }
        self.buffers.let_go_if_unused(number);
    }

    fn change(&mut self, number: usize, at: &RowAt, before: Before, is_known: bool) {
        // The bytes of a chunk are counted, with those of its buffers and entries. So the chunk is full long before the
        // numbers of buffers and entries overflow.
        let new = Entry {
            buffer: u32::try_from(number).unwrap_or(u32::MAX),
            key: at.key,
            row: at.row.unwrap_or(at.key),
            is_there: at.row.is_some(),
            before,
        };
        let key = |entry: &Entry| entry.key.of(self.buffers.text(entry));
        let wanted = key(&new);
        let slot = self.index.entry(
            self.hasher.hash_one(wanted),
            |place| key(&self.entries[*place as usize]) == wanted,
            |place| self.hasher.hash_one(key(&self.entries[*place as usize])),
        );
        let replaced = match slot {
            Slot::Vacant(slot) => {
                slot.insert(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
                self.entries.push(new);
                None
            }
            Slot::Occupied(slot) => {
                let old = &mut self.entries[*slot.get() as usize];
                // A row read live (`Live`) follows if a nested statement was logged before the statement around it.
                // Then the change that was logged first need not have happened first, and nothing is known of the row
                // before.
                let before = if is_known {
                    old.before
                } else {
                    Before::Unknown
                };
                Some(std::mem::replace(old, Entry { before, ..new }).buffer as usize)
            }
        };
        self.buffers.all[number].used += 1;
        if let Some(replaced) = replaced {
            self.buffers.all[replaced].used -= 1;
            if replaced != number {
                self.buffers.let_go_if_unused(replaced);
            }
        }
    }

    /// Adds the change of each key to a set, and is empty afterwards.
    pub(super) fn drain_into(&mut self, set: &mut ChangeSet) {
        self.buffers.close_page();
        let Keys {
            entries, buffers, ..
        } = std::mem::take(self);
        let (mut updates, mut deletes) = (Vec::new(), Vec::new());
        let key = |entry: &Entry| entry.key.slice(&buffers.all[entry.buffer as usize].text);
        let row = |entry: &Entry| entry.row.slice(&buffers.all[entry.buffer as usize].text);
        for entry in &entries {
            match (entry.before, entry.is_there) {
                (Before::Row, true) => updates.push(*entry),
                (Before::Row, false) => deletes.push(*entry),
                (Before::NoRow, true) => set.inserts.push(row(entry)),
                (Before::Unknown, true) => set.puts.push(row(entry)),
                (Before::NoRow | Before::Unknown, false) => set.gone.push(key(entry)),
            }
        }
        drop(entries);
        // Neighbours in the subscriber's index are written one after the other. The server then finds their pages in
        // its cache and prunes each page once, and two writers of the same rows lock them in the same order. New rows
        // keep the order in which they came.
        for of_one_kind in [&mut updates, &mut deletes] {
            of_one_kind.sort_unstable_by(|a, b| {
                near(a.key.of(buffers.text(a)), b.key.of(buffers.text(b)))
            });
        }
        set.updates.extend(updates.iter().map(row));
        set.deletes.extend(deletes.iter().map(key));
    }
}

/// An order of keys' texts: the order of whole numbers, and nearly that of most other keys.
fn near(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
