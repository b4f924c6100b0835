//! What an archive of `pg_dump` lists, and which of its entries make some tables. Pure.
//!
//! An entry is known by its number in the archive and, if it is an object of its own, by its address in the provider's
//! catalog. Names are only shown to people and never parsed, because a schema may be called ATTACH.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sql::provider::definition::Whole;

/// An object's catalog and its number in it.
pub(super) type Address = (u32, u32);

const PG_CLASS: u32 = 1259;
const PG_CONSTRAINT: u32 = 2606;
const PG_ATTRDEF: u32 = 2604;
const PG_STATISTIC_EXT: u32 = 3381;

/// The kind of an entry, as far as the choice of entries depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    /// A table; partitions are tables too.
    Table,
    /// A foreign key.
    ForeignKey,
    /// A part of a table, which comes with the table: a default, a key, an index, statistics, a sequence that a column
    /// owns, the attaching of a partition.
    OfTable,
    /// A remark on another entry, which comes with that entry: a comment, a check that is not valid yet.
    Remark,
    /// Any other object that may be needed: a schema, a type, a function, an extension.
    Prerequisite,
    /// An object that is never taken over: triggers, rules, policies, rights, publications.
    Left,
}

impl EntryKind {
    fn of(catalog: u32, word: &str) -> EntryKind {
        match (catalog, word) {
            (PG_CLASS, "TABLE") => EntryKind::Table,
            (PG_CONSTRAINT, "FK") => EntryKind::ForeignKey,
            (PG_CLASS, "INDEX" | "SEQUENCE")
            | (PG_ATTRDEF, _)
            | (PG_CONSTRAINT, "CONSTRAINT")
            | (PG_STATISTIC_EXT, _)
            // Entries without an object: TABLE ATTACH, INDEX ATTACH, SEQUENCE OWNED BY.
            | (0, "TABLE" | "INDEX" | "SEQUENCE") => EntryKind::OfTable,
            (PG_CONSTRAINT, "CHECK") | (0, "COMMENT") => EntryKind::Remark,
            (_, "TRIGGER" | "RULE" | "POLICY" | "ROW" | "ACL" | "EVENT" | "PUBLICATION" | "SUBSCRIPTION" | "DATABASE")
            | (0, _) => EntryKind::Left,
            _ => EntryKind::Prerequisite,
        }
    }
}

/// One line of the list, and the entries that it depends on.
#[derive(Clone, Debug)]
struct Entry {
    kind: EntryKind,
    address: Address,
    needs: BTreeSet<u32>,
}

/// The list of an archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive {
    entries: BTreeMap<u32, Entry>,
    /// The entries' numbers in the order of the archive, in which they can be made.
    order: Vec<u32>,
}

/// The entries that are to be made.
#[derive(Clone, Debug, Default)]
pub(super) struct Needed {
    /// Entries, in an order in which they can be made.
    pub(super) entries: Vec<u32>,
    /// The objects among the entries.
    pub(super) objects: Vec<Address>,
    /// Objects that may exist already: what is needed depends on whether they exist.
    pub(super) maybe_there: Vec<(u32, Address)>,
    /// Foreign keys that are left out, because the table that they refer to is not there.
    pub(super) left_out: Vec<Address>,
}

impl Archive {
    /// Reads what `pg_restore --list --verbose` prints. None if a line is not understood.
    pub(super) fn read(list: &str) -> Option<Archive> {
        let mut archive = Archive::default();
        for line in list.lines() {
            if let Some(needs) = line.strip_prefix(";\tdepends on:") {
                let last = archive.entries.get_mut(archive.order.last()?)?;
                for number in needs.split_ascii_whitespace() {
                    last.needs.insert(number.parse().ok()?);
                }
            } else if !line.starts_with(';') && !line.is_empty() {
                let (number, rest) = line.split_once("; ")?;
                let number = number.parse().ok()?;
                let mut words = rest.split(' ');
                let catalog = words.next()?.parse().ok()?;
                let oid = words.next()?.parse().ok()?;
                let entry = Entry {
                    kind: EntryKind::of(catalog, words.next()?),
                    address: (catalog, oid),
                    needs: BTreeSet::new(),
                };
                archive.entries.insert(number, entry);
                archive.order.push(number);
            }
        }
        Some(archive)
    }

    /// The entries that make the tables if the entries `there` exist already. None if the archive lacks one of the
    /// tables.
    pub(super) fn needed(&self, wanted: &Whole, there: &HashSet<u32>) -> Option<Needed> {
        let mut choice = Choice {
            archive: self,
            there,
            foreign_keys: &wanted.foreign_keys,
            own: BTreeSet::new(),
            others: BTreeSet::new(),
        };
        let tables: BTreeMap<u32, u32> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.kind == EntryKind::Table)
            .map(|(number, entry)| (entry.address.1, *number))
            .collect();
        for oid in &wanted.tables {
            choice.own.insert(*tables.get(oid)?);
        }
        while choice.grow() {}
        Some(choice.needed())
    }

    fn is_table(&self, number: u32) -> bool {
        let entry = self.entries.get(&number);
        entry.is_some_and(|entry| entry.kind == EntryKind::Table)
    }
}

/// The entries that are chosen so far.
struct Choice<'a> {
    archive: &'a Archive,
    there: &'a HashSet<u32>,
    foreign_keys: &'a HashSet<u32>,
    /// The tables, and what comes with them.
    own: BTreeSet<u32>,
    /// The entries that `own` needs.
    others: BTreeSet<u32>,
}

impl<'a> Choice<'a> {
    fn has(&self, number: u32) -> bool {
        self.own.contains(&number) || self.others.contains(&number)
    }

    /// Adds the entries that come with the chosen entries, and those that they need. False if none was missing.
    fn grow(&mut self) -> bool {
        let before = self.own.len() + self.others.len();
        for (number, entry) in &self.archive.entries {
            let comes = !self.has(*number)
                && match entry.kind {
                    EntryKind::OfTable => entry.needs.iter().any(|need| self.own.contains(need)),
                    EntryKind::ForeignKey => self.is_wanted(entry) && self.may_refer(entry),
                    EntryKind::Remark => {
                        !entry.needs.is_empty() && entry.needs.iter().all(|need| self.has(*need))
                    }
                    EntryKind::Table | EntryKind::Prerequisite | EntryKind::Left => false,
                };
            if comes {
                self.own.insert(*number);
            }
        }
        for (number, entry) in &self.archive.entries {
            if self.has(*number) {
                for need in &entry.needs {
                    let known = self.archive.entries.contains_key(need);
                    if known && !self.own.contains(need) && !self.is_there(*need) {
                        self.others.insert(*need);
                    }
                }
            }
        }
        self.own.len() + self.others.len() > before
    }

    /// Whether an entry exists: as an object, or as a part of a table that exists.
    fn is_there(&self, number: u32) -> bool {
        self.there.contains(&number)
            || self.archive.entries.get(&number).is_some_and(|entry| {
                entry.kind == EntryKind::OfTable
                    && entry.needs.iter().any(|need| self.there.contains(need))
            })
    }

    fn is_wanted(&self, entry: &Entry) -> bool {
        self.foreign_keys.contains(&entry.address.1)
    }

    fn may_refer(&self, entry: &Entry) -> bool {
        let mut needs = entry.needs.iter();
        needs.all(|need| self.has(*need) || self.is_there(*need))
    }

    fn wanted_keys(&self) -> impl Iterator<Item = &'a Entry> {
        let entries = self.archive.entries.values();
        entries.filter(|entry| entry.kind == EntryKind::ForeignKey && self.is_wanted(entry))
    }

    fn needed(&self) -> Needed {
        let referred = self
            .wanted_keys()
            .flat_map(|key| &key.needs)
            .filter(|need| self.archive.is_table(**need) && !self.own.contains(need));
        let maybe: BTreeSet<u32> = self.others.iter().chain(referred).copied().collect();
        let entries: Vec<u32> = self
            .archive
            .order
            .iter()
            .copied()
            .filter(|number| self.has(*number))
            .collect();
        Needed {
            objects: entries
                .iter()
                .filter_map(|number| Some(self.archive.entries.get(number)?.address))
                .filter(|(catalog, _)| *catalog != 0)
                .collect(),
            entries,
            maybe_there: maybe
                .into_iter()
                .filter_map(|number| Some((number, self.archive.entries.get(&number)?.address)))
                .filter(|(_, (catalog, _))| *catalog != 0)
                .collect(),
            left_out: self
                .wanted_keys()
                .filter(|key| !self.may_refer(key))
                .map(|key| key.address)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table `t` in a schema called ATTACH, of a type, with a sequence, a key and a trigger,
    /// that refers to `par`; and `child`, that refers to `t`.
    const LIST: &str = "; Archive\n;\n\
        90; 0 0 ENCODING - ENCODING \n\
        7; 2615 100 SCHEMA - ATTACH postgres\n\
        8; 1247 101 TYPE ATTACH mood postgres\n;\tdepends on: 7\n\
        9; 1259 102 TABLE ATTACH par postgres\n;\tdepends on: 7\n\
        10; 1259 103 TABLE ATTACH t postgres\n;\tdepends on: 8 7 8\n\
        11; 1259 104 SEQUENCE ATTACH t_id_seq postgres\n;\tdepends on: 7 10\n\
        12; 0 0 SEQUENCE OWNED BY ATTACH t_id_seq postgres\n;\tdepends on: 11\n\
        13; 1259 105 TABLE ATTACH child postgres\n;\tdepends on: 7\n\
        14; 2606 106 CONSTRAINT ATTACH par par_pkey postgres\n;\tdepends on: 9\n\
        15; 2606 107 CONSTRAINT ATTACH t t_pkey postgres\n;\tdepends on: 10 10\n\
        16; 0 0 COMMENT ATTACH TABLE t postgres\n;\tdepends on: 10\n\
        17; 2620 108 TRIGGER ATTACH t ours postgres\n;\tdepends on: 10\n\
        18; 2606 109 FK CONSTRAINT ATTACH t t_par_fkey postgres\n;\tdepends on: 14 9 10\n\
        19; 2606 110 FK CONSTRAINT ATTACH child child_t_fkey postgres\n;\tdepends on: 15 10 13\n\
        20; 0 0 ACL ATTACH TABLE t postgres\n;\tdepends on: 10\n";

    fn needed(tables: &[u32], foreign_keys: &[u32], there: &[u32]) -> Needed {
        let archive = Archive::read(LIST).unwrap();
        let wanted = Whole {
            tables: tables.to_vec(),
            foreign_keys: foreign_keys.iter().copied().collect(),
        };
        archive
            .needed(&wanted, &there.iter().copied().collect())
            .unwrap()
    }

    #[test]
    fn a_table_comes_with_its_parts_and_what_it_needs_and_without_triggers_and_rights() {
        let all = needed(&[103], &[109], &[]);
        assert_eq!(all.entries, [7, 8, 10, 11, 12, 15, 16]);
        let maybe: Vec<u32> = all.maybe_there.iter().map(|(number, _)| *number).collect();
        assert_eq!(maybe, [7, 8, 9]);
        let some = needed(&[103], &[109], &[7, 8]);
        assert_eq!(some.entries, [10, 11, 12, 15, 16]);
    }

    #[test]
    fn a_foreign_key_comes_if_the_table_that_it_refers_to_does_or_is_there() {
        assert_eq!(needed(&[103], &[109], &[7, 8]).left_out, [(2606, 109)]);
        let there = needed(&[103], &[109], &[7, 8, 9]);
        assert_eq!(there.entries, [10, 11, 12, 15, 16, 18]);
        assert!(there.left_out.is_empty());
        let both = needed(&[102, 103], &[109], &[7, 8]);
        assert_eq!(both.entries, [9, 10, 11, 12, 14, 15, 16, 18]);
    }

    #[test]
    fn a_foreign_key_of_another_table_is_left_to_that_one() {
        let there = needed(&[103], &[109], &[7, 8, 9, 13]);
        assert!(!there.entries.contains(&19), "{there:?}");
    }

    #[test]
    fn a_table_that_the_archive_lacks_is_noticed() {
        let archive = Archive::read(LIST).unwrap();
        let wanted = Whole {
            tables: vec![999],
            foreign_keys: HashSet::new(),
        };
        assert!(archive.needed(&wanted, &HashSet::new()).is_none());
        assert!(Archive::read("what is this\n").is_none());
    }
}
