use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use sql::event::shape::Shape;

use super::{ChangeSet, TableFold, chunk::Chunk};
use crate::change::{RowAt, Rows, Said, Span};

fn shape(text_equal: bool) -> Arc<Shape> {
    let json = format!(
        r#"{{"shape":1,"table":{{"schema":"public","name":"t","oid":1}},"identity":"key",
            "columns":[{{"name":"id","type":"pg_catalog.int4","key":1,"text_equal":{text_equal}}},
                       {{"name":"v","type":"pg_catalog.text","key":null,"text_equal":true}}]}}"#
    );
    Arc::new(Shape::from_json(&json).unwrap())
}

/// A block of rows, each with its key in front of its text.
fn block(
    shape: &Arc<Shape>,
    said: Said,
    rows: impl IntoIterator<Item = (Bytes, Option<Bytes>)>,
) -> Rows {
    let mut buffer = Vec::new();
    let mut put = |text: &Bytes| {
        let start = buffer.len();
        buffer.extend_from_slice(text);
        Span::new(start, text.len()).unwrap()
    };
    let rows = rows
        .into_iter()
        .map(|(key, row)| RowAt {
            key: put(&key),
            row: row.as_ref().map(&mut put),
        })
        .collect();
    Rows {
        shape: Arc::clone(shape),
        said,
        rows,
        buffer: buffer.into(),
    }
}

fn one(said: Said, key: u32, row: Option<&str>) -> (Said, Bytes, Option<Bytes>) {
    let key = key.to_string();
    let row = row.map(|v| Bytes::from(format!("{key},{v}")));
    (said, Bytes::from(key), row)
}

fn fold(shape: Arc<Shape>, changes: Vec<(Said, Bytes, Option<Bytes>)>) -> Vec<ChangeSet> {
    let mut fold = TableFold::new(Arc::clone(&shape));
    for (said, key, row) in changes {
        fold.block(block(&shape, said, [(key, row)]));
    }
    fold.into_sets()
}

fn words(rows: &[Bytes]) -> Vec<&str> {
    rows.iter()
        .map(|r| std::str::from_utf8(r).unwrap())
        .collect()
}

#[test]
fn an_update_of_an_inserted_row_is_one_insert_of_the_last_state() {
    let sets = fold(
        shape(true),
        vec![
            one(Said::Inserted, 1, Some("a")),
            one(Said::Updated, 1, Some("b")),
        ],
    );
    assert_eq!(sets.len(), 1);
    assert_eq!(words(&sets[0].inserts), ["1,b"]);
    assert_eq!(sets[0].len(), 1);
}

#[test]
fn a_row_that_was_deleted_and_inserted_again_is_an_update() {
    let sets = fold(
        shape(true),
        vec![
            one(Said::Deleted, 1, None),
            one(Said::Inserted, 1, Some("b")),
        ],
    );
    assert_eq!(words(&sets[0].updates), ["1,b"]);
    assert_eq!(sets[0].len(), 1);
}

#[test]
fn a_row_that_came_and_went_says_only_that_no_row_has_the_key() {
    let sets = fold(
        shape(true),
        vec![
            one(Said::Inserted, 1, Some("a")),
            one(Said::Deleted, 1, None),
        ],
    );
    assert_eq!(words(&sets[0].gone), ["1"]);
    assert_eq!(sets[0].len(), 1);
}

#[test]
fn a_live_read_takes_away_what_the_nested_statement_said_of_before() {
    let sets = fold(
        shape(true),
        vec![
            one(Said::Updated, 1, Some("a")),
            one(Said::Live, 1, Some("b")),
        ],
    );
    assert_eq!(words(&sets[0].puts), ["1,b"]);
    assert_eq!(sets[0].len(), 1);
}

#[test]
fn truncate_forgets_what_came_before_and_keeps_what_follows() {
    let shape = shape(true);
    let mut fold = TableFold::new(Arc::clone(&shape));
    let row = |k: &'static str, v: &'static str| [(Bytes::from(k), Some(Bytes::from(v)))];
    fold.block(block(&shape, Said::Updated, row("1", "1,a")));
    fold.truncate();
    assert_eq!(fold.bytes(), 0);
    fold.block(block(&shape, Said::Inserted, row("2", "2,b")));
    let sets = fold.into_sets();
    assert!(sets[0].truncate);
    assert_eq!(words(&sets[0].inserts), ["2,b"]);
    assert_eq!(sets[0].len(), 1);
}

#[test]
fn keys_whose_text_is_not_equality_keep_the_order_of_events() {
    let sets = fold(
        shape(false),
        vec![
            one(Said::Deleted, 1, None),
            one(Said::Inserted, 1, Some("b")),
        ],
    );
    assert_eq!(sets.len(), 2);
    assert_eq!(words(&sets[0].deletes), ["1"]);
    assert_eq!(words(&sets[1].inserts), ["1,b"]);
}

/// Applies change sets to a table as the subscriber would, and counts broken expectations.
fn apply(table: &mut BTreeMap<String, String>, sets: &[ChangeSet]) -> usize {
    let key = |row: &Bytes| {
        let text = std::str::from_utf8(row).unwrap();
        (text.split(',').next().unwrap().to_owned(), text.to_owned())
    };
    let mut broken = 0;
    for set in sets {
        if set.truncate {
            table.clear();
        }
        for k in &set.deletes {
            broken += usize::from(table.remove(&key(k).0).is_none());
        }
        for k in &set.gone {
            table.remove(&key(k).0);
        }
        for row in &set.updates {
            let (k, row) = key(row);
            broken += usize::from(table.insert(k, row).is_none());
        }
        for row in &set.puts {
            let (k, row) = key(row);
            table.insert(k, row);
        }
        for row in &set.inserts {
            let (k, row) = key(row);
            broken += usize::from(table.insert(k, row).is_some());
        }
    }
    broken
}

#[test]
fn any_history_cut_into_any_chunks_gives_the_provider_s_rows_and_no_conflict() {
    for seed in 0..200u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut provider: BTreeMap<String, String> = BTreeMap::new();
        let mut subscriber = provider.clone();
        let by_text = seed % 2 == 0;
        let shape = shape(by_text);
        let mut current = TableFold::new(Arc::clone(&shape));
        for step in 0..300 {
            let key = next(8).to_string();
            let row = format!("{key},{step}");
            let had = provider.contains_key(&key);
            let (said, now) = match (had, next(3)) {
                (true, 0) => (Said::Deleted, None),
                (true, 1) => (Said::Updated, Some(row)),
                (true, _) => (Said::Live, Some(row)),
                (false, 0) => (Said::Gone, None),
                (false, _) => (Said::Inserted, Some(row)),
            };
            match &now {
                Some(row) => provider.insert(key.clone(), row.clone()),
                None => provider.remove(&key),
            };
            let pair = (Bytes::from(key), now.map(Bytes::from));
            current.block(block(&shape, said, [pair]));
            if next(60) == 0 {
                provider.clear();
                current.truncate();
            }
            if next(20) == 0 {
                let full = std::mem::replace(&mut current, TableFold::new(Arc::clone(&shape)));
                assert_eq!(apply(&mut subscriber, &full.into_sets()), 0, "seed {seed}");
                assert_eq!(subscriber, provider, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_truncate_forgets_the_rows_before_it_under_an_older_shape_too() {
    let old = shape(true);
    let mut new = Shape::clone(&old);
    new.shape.0 += 1;
    let new = Arc::new(new);
    let rows = |shape: &Arc<Shape>, key: u32| {
        let (said, key, row) = one(Said::Inserted, key, Some("a"));
        block(shape, said, [(key, row)])
    };
    for before in [vec![&old], vec![&old, &new]] {
        let mut chunk = Chunk::default();
        for shape in before {
            chunk.rows(rows(shape, 1));
        }
        chunk.truncate(&new);
        chunk.rows(rows(&new, 3));
        let sets = chunk.take();
        assert_eq!(sets.len(), 1);
        assert!(sets[0].truncate);
        assert_eq!(words(&sets[0].inserts), ["3,a"]);
    }
}

#[test]
fn rows_that_are_written_again_and_again_hold_one_text_each() {
    let shape = shape(true);
    let mut fold = TableFold::new(Arc::clone(&shape));
    let large = "x".repeat(1000);
    let rows = || (0..100u32).map(|key| (key.to_string(), format!("{key},{large}")));
    let mut held = Vec::new();
    for said in [Said::Inserted, Said::Updated, Said::Updated, Said::Updated] {
        // The rows come in two blocks, so that one block is still in use while the other is replaced.
        for half in [0..50, 50..100] {
            let all: Vec<_> = rows().collect();
            let some = all[half].iter().cloned();
            let some = some.map(|(key, row)| (key.into(), Some(row.into())));
            fold.block(block(&shape, said, some));
        }
        held.push(fold.bytes());
    }
    assert!(held[0] > 100_000, "{held:?}");
    assert!(held.iter().all(|bytes| *bytes < held[0] + 1000), "{held:?}");
    let gone = rows().map(|(key, _)| (key.into(), None));
    fold.block(block(&shape, Said::Deleted, gone));
    assert!(fold.bytes() < 10_000, "{}", fold.bytes());
    let sets = fold.into_sets();
    assert_eq!(sets[0].gone.len(), 100, "no row was there before");
}

#[test]
fn a_row_may_come_twice_in_one_block() {
    let shape = shape(true);
    let mut fold = TableFold::new(Arc::clone(&shape));
    let row = |v: &str| (Bytes::from("1"), Some(Bytes::from(format!("1,{v}"))));
    fold.block(block(&shape, Said::Live, [row("a"), row("b"), row("c")]));
    let sets = fold.into_sets();
    assert_eq!(words(&sets[0].puts), ["1,c"]);
}

#[test]
fn rows_that_come_alone_again_and_again_hold_a_few_pages() {
    let shape = shape(true);
    let mut fold = TableFold::new(Arc::clone(&shape));
    let long = "x".repeat(2000);
    let mut most = 0;
    for round in 0..100u32 {
        for key in 0..100u32 {
            // Now and then a row has a buffer of its own, between rows that share a buffer.
            let is_long = (round + key).is_multiple_of(17);
            let value = format!("{key},{round}{}", if is_long { long.as_str() } else { "" });
            let row = (Bytes::from(key.to_string()), Some(Bytes::from(value)));
            fold.block(block(&shape, Said::Updated, [row]));
        }
        most = most.max(fold.bytes());
    }
    assert!(most < 200_000, "{most}");
    let sets = fold.into_sets();
    let expected = |key: u32| {
        let end = if (99 + key).is_multiple_of(17) {
            long.as_str()
        } else {
            ""
        };
        format!("{key},99{end}")
    };
    let all: Vec<String> = (0..100).map(expected).collect();
    assert_eq!(words(&sets[0].updates), all);
}
