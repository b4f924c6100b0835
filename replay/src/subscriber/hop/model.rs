//! A model of three nodes, with the program's own fold: a log with ticks, a node that applies it and logs that again,
//! and a subscriber that moves from the one log to the other at any tick of the first.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use sql::event::shape::Shape;

use crate::{
    change::{RowAt, Rows, Said, Span},
    fold::{ChangeSet, chunk::Chunk},
};

type Table = BTreeMap<u32, u32>;

/// What an event says of one row, or that the table was emptied.
#[derive(Clone, Copy, Debug)]
enum Logged {
    Row(Said, u32, u32),
    Truncate,
}

/// Numbers without a pattern, by a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}

fn shape() -> Arc<Shape> {
    let json = r#"{"shape":1,"table":{"schema":"public","name":"t","oid":1},"identity":"key",
        "columns":[{"name":"id","type":"pg_catalog.int4","key":1,"text_equal":true},
                   {"name":"v","type":"pg_catalog.int4","key":null,"text_equal":true}]}"#;
    Arc::new(Shape::from_json(json).unwrap())
}

/// The events folded, as a reader folds a batch.
fn folded(shape: &Arc<Shape>, events: &[Logged], once_more: bool) -> Vec<ChangeSet> {
    let mut chunk = Chunk::default();
    for event in events {
        let (said, key, value) = match *event {
            Logged::Truncate => {
                chunk.truncate(shape);
                continue;
            }
            Logged::Row(said, key, value) => (said, key, value),
        };
        let (key, row) = (key.to_string(), format!("{key},{value}"));
        let is_there = !matches!(said, Said::Deleted | Said::Gone);
        let text = format!("{key}{row}");
        chunk.rows(Rows {
            shape: Arc::clone(shape),
            said: if once_more { said.as_state() } else { said },
            rows: vec![RowAt {
                key: Span::new(0, key.len()).unwrap(),
                row: is_there.then(|| Span::new(key.len(), row.len()).unwrap()),
            }],
            buffer: Bytes::from(text),
        });
    }
    chunk.take()
}

/// Applies sets, and gives what the triggers of the table log of it: rows that were changed, and no others.
fn apply(table: &mut Table, sets: &[ChangeSet]) -> Vec<Logged> {
    let mut logged = Vec::new();
    let number = |text: &[u8]| -> u32 { std::str::from_utf8(text).unwrap().parse().unwrap() };
    let both = |row: &Bytes| {
        let comma = row.iter().position(|byte| *byte == b',').unwrap();
        (number(&row[..comma]), number(&row[comma + 1..]))
    };
    for set in sets {
        if set.truncate {
            table.clear();
            logged.push(Logged::Truncate);
        }
        for key in set.deletes.iter().chain(&set.gone) {
            let key = number(key);
            if table.remove(&key).is_some() {
                logged.push(Logged::Row(Said::Deleted, key, 0));
            }
        }
        for row in set.updates.iter().chain(&set.puts).chain(&set.inserts) {
            let (key, value) = both(row);
            let said = match table.insert(key, value) {
                Some(_) => Said::Updated,
                None => Said::Inserted,
            };
            logged.push(Logged::Row(said, key, value));
        }
    }
    logged
}

/// A change of the first node, and what it logs.
fn write(table: &mut Table, random: &mut Random) -> Vec<Logged> {
    let (key, value) = (random.below(6), random.below(1000));
    match (random.below(40), table.get(&key).copied()) {
        (0, _) => {
            table.clear();
            vec![Logged::Truncate]
        }
        (1..=15, Some(_)) => {
            table.remove(&key);
            vec![Logged::Row(Said::Deleted, key, 0)]
        }
        // The row moves to another key, which may be taken.
        (16..=20, Some(old)) => {
            let to = random.below(6);
            if to == key || table.contains_key(&to) {
                return Vec::new();
            }
            table.remove(&key);
            table.insert(to, old);
            vec![
                Logged::Row(Said::Deleted, key, 0),
                Logged::Row(Said::Inserted, to, old),
            ]
        }
        (_, before) => {
            table.insert(key, value);
            let said = if before.is_some() {
                Said::Updated
            } else {
                Said::Inserted
            };
            vec![Logged::Row(said, key, value)]
        }
    }
}

/// One history: whether the subscriber is right after its move, and at each tick that follows. The node in the middle
/// applies up to `merged` ticks at once.
fn is_right(seed: u64, merged: u32) -> bool {
    let (shape, mut random) = (shape(), Random(seed));
    let ticks = 12;
    // The first node: its events between ticks, and its rows at each tick.
    let (mut first, mut log, mut states) = (Table::new(), Vec::new(), vec![Table::new()]);
    for _ in 0..ticks {
        let events: Vec<Logged> = (0..random.below(6))
            .flat_map(|_| write(&mut first, &mut random))
            .collect();
        log.push(events);
        states.push(first.clone());
    }
    // The node in the middle: a tick of its own now and then, which says how far it is.
    let (mut middle, mut own_log) = (Table::new(), Vec::new());
    let mut own_ticks = vec![(0, 0)];
    let mut at = 0;
    while at < ticks {
        let to = (at + 1 + random.below(merged) as usize).min(ticks);
        let events: Vec<Logged> = log[at..to].iter().flatten().copied().collect();
        own_log.extend(apply(&mut middle, &folded(&shape, &events, false)));
        at = to;
        if random.below(3) == 0 || at == ticks {
            own_ticks.push((at, own_log.len()));
        }
    }
    assert_eq!(middle, first, "the node in the middle, seed {seed}");
    // The subscriber: at some tick of the first node.
    let place = random.below(u32::try_from(ticks).unwrap() + 1) as usize;
    let mut last = states[place].clone();
    let exact = own_ticks.iter().position(|(above, _)| *above == place);
    let next = match exact {
        Some(exact) => exact,
        None => {
            let after = own_ticks
                .iter()
                .position(|(above, _)| *above > place)
                .unwrap();
            let events = &own_log[own_ticks[after - 1].1..own_ticks[after].1];
            apply(&mut last, &folded(&shape, events, true));
            if last != states[own_ticks[after].0] {
                return false;
            }
            after
        }
    };
    for pair in own_ticks[next..].windows(2) {
        let events = &own_log[pair[0].1..pair[1].1];
        apply(&mut last, &folded(&shape, events, false));
        if last != states[pair[1].0] {
            return false;
        }
    }
    true
}

#[test]
fn a_subscriber_that_moves_between_any_two_ticks_has_the_rows_of_the_first_node() {
    let seeds = 4_000;
    let wrong: Vec<u64> = (0..seeds).filter(|seed| !is_right(*seed, 1)).collect();
    assert_eq!(wrong, Vec::<u64>::new());
    // A node that applies several ticks at once loses rows that come and go meanwhile from its log: it must not.
    let wrong = (0..seeds).filter(|seed| !is_right(*seed, 4)).count();
    assert!(wrong > 20, "only {wrong} of {seeds} histories");
}
