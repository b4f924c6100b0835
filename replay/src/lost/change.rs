//! The events of a log as changes that a person reads. Pure.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use sql::{
    event::{Mark, row, shape::Shape},
    lost::LostChange,
};

use crate::change::{Change, Rows, Said};

/// A change, with what SQL that makes it again must know.
#[derive(Debug)]
pub(super) struct Told {
    /// As it is stored.
    pub change: LostChange,
    /// What it does.
    pub deed: Deed,
    /// The names of its columns' values, which are null where the row has none.
    pub values: BTreeMap<String, Option<String>>,
    /// The same of the key.
    pub key: Vec<(String, Option<String>)>,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The row with the key is as given.
    Put,
    /// No row has the key.
    Delete,
    /// There is one more row, of a table without a key.
    Add,
    /// There is one less.
    Take,
    /// The table is empty.
    Truncate,
    /// What no statement tells.
    Other,
}

/// A column was added, and has this value in all rows that there were.
const FILLED: &str = "filled";

/// The changes of an event; `number` counts all of them. Shapes are no change. A column that came with a value in all
/// rows is one: the provider does not have the values.
pub(super) fn changes(event: &Change, number: &mut i64) -> Vec<Told> {
    match event {
        Change::Rows(rows) => of_rows(rows, rows.said.as_str(), number),
        Change::Large(rows) => of_rows(rows, "large", number),
        Change::Truncate(shape) => vec![of_table(shape, "truncate", Deed::Truncate, number)],
        Change::Mark(shape, mark) => match mark {
            Mark::Resync { .. } => vec![of_table(shape, "resync", Deed::Other, number)],
            Mark::Emptied(_) => vec![of_table(shape, "emptied", Deed::Other, number)],
            Mark::Digest { .. } => vec![of_table(shape, "digest", Deed::Other, number)],
            Mark::Ignored { .. } => vec![of_table(shape, "ignored", Deed::Other, number)],
            Mark::Filled {
                column,
                value: Some(value),
                ..
            } => {
                let mut told = of_table(shape, FILLED, Deed::Other, number);
                told.change.row_now = Some(object(&[(column.clone(), Some(value.clone()))]));
                vec![told]
            }
            Mark::Filled { value: None, .. } | Mark::Own => Vec::new(),
        },
        Change::Shape(_) | Change::Altered(..) | Change::Script(_) | Change::Nothing => Vec::new(),
    }
}

fn of_rows(rows: &Rows, word: &str, number: &mut i64) -> Vec<Told> {
    let shape = &rows.shape;
    let fields = shape.key_fields();
    let columns: Vec<&str> = shape.columns.iter().map(|one| one.name.as_str()).collect();
    let key_columns: Vec<&str> = fields
        .iter()
        .filter_map(|&at| columns.get(at).copied())
        .collect();
    let told = rows.rows.iter().map(|at| {
        let mut told = of_table(shape, word, deed(rows.said, word, shape.has_key()), number);
        let text = at.key.of(&rows.buffer);
        let whole = if shape.has_key() {
            told.key = named(&key_columns, text);
            told.change.key = Some(object(&told.key));
            // A key that is no text of the server's encoding finds no row.
            told.change.key_text = String::from_utf8(text.to_vec()).ok();
            told.change.key_columns =
                Some(key_columns.iter().map(|&name| name.to_owned()).collect());
            at.row.map(|row| row.of(&rows.buffer))
        } else {
            Some(text)
        };
        if let Some(whole) = whole {
            let values = named(&columns, whole);
            told.change.row_now = Some(object(&values));
            told.values = values.into_iter().collect();
        }
        told
    });
    told.collect()
}

fn deed(said: Said, word: &str, has_key: bool) -> Deed {
    match said {
        _ if word == "large" => Deed::Other,
        Said::Inserted | Said::Updated | Said::Live if has_key => Deed::Put,
        Said::Deleted | Said::Gone if has_key => Deed::Delete,
        Said::Inserted | Said::Updated | Said::Live | Said::More => Deed::Add,
        Said::Deleted | Said::Gone | Said::Less => Deed::Take,
    }
}

fn of_table(shape: &Arc<Shape>, word: &str, deed: Deed, number: &mut i64) -> Told {
    *number += 1;
    Told {
        change: LostChange {
            number: *number,
            table_oid: shape.table.oid,
            schema_name: shape.table.schema.clone(),
            table_name: shape.table.name.clone(),
            change: word.to_owned(),
            key_text: None,
            key_columns: None,
            key: None,
            row_now: None,
        },
        deed,
        values: BTreeMap::new(),
        key: Vec::new(),
    }
}

/// The values of a row or key. Bytes that are no text are shown as such.
fn named(names: &[&str], text: &[u8]) -> Vec<(String, Option<String>)> {
    let value = |field: row::Field<'_>| String::from_utf8_lossy(&field.unescape()).into_owned();
    let fields = row::fields(text).map(|field| field.map(value));
    let names = names.iter().map(|&name| name.to_owned());
    names.zip(fields).collect()
}

fn object(values: &[(String, Option<String>)]) -> Value {
    let values = values.iter().map(|(name, value)| {
        let value = value.clone().map_or(Value::Null, Value::String);
        (name.clone(), value)
    });
    Value::Object(values.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use sql::event::RawEvent;

    use super::*;
    use crate::change::{Decoder, Later};

    fn told(shape: &str, kind: &str, rows: &str) -> Vec<Told> {
        let mut decoder = Decoder::new(&[shape.to_owned()]).unwrap();
        let event = RawEvent {
            ev_id: 1,
            ev_type: Some("trunkline.1.rows"),
            ev_data: Some(rows.as_bytes()),
            ev_extra1: Some("public.t"),
            ev_extra2: Some("7"),
            ev_extra3: Some(kind),
        };
        let change = decoder.decode(event, Later::default()).unwrap();
        let mut number = 0;
        changes(&change, &mut number)
    }

    fn shape(identity: &str) -> String {
        let key = if identity == "key" { "1" } else { "null" };
        format!(
            r#"{{"shape":7,"table":{{"schema":"public","name":"t","oid":9}},"identity":"{identity}",
            "columns":[{{"name":"v","type":"text","key":null,"text_equal":true}},
                       {{"name":"id","type":"integer","key":{key},"text_equal":true}}]}}"#
        )
    }

    #[test]
    fn rows_are_told_with_their_keys_and_values_and_what_they_do() {
        let told = told(&shape("key"), "update", "(\"a \"\"b\"\"\",1)\n(,2)");
        let [first, second] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!((first.change.number, second.change.number), (1, 2));
        assert_eq!(first.deed, Deed::Put);
        assert_eq!(first.change.key_text.as_deref(), Some("1"));
        assert_eq!(
            first.change.key_columns.as_deref(),
            Some(&["id".to_owned()][..])
        );
        assert_eq!(first.values["v"].as_deref(), Some("a \"b\""));
        assert_eq!(second.values["v"], None);
    }

    #[test]
    fn rows_without_a_key_are_told_whole() {
        for (identity, kind, deed) in [
            ("full", "plus", Deed::Add),
            ("full", "minus", Deed::Take),
            ("insert-only", "insert", Deed::Add),
        ] {
            let told = told(&shape(identity), kind, "(x,1)");
            assert_eq!(told[0].deed, deed, "{kind}");
            assert_eq!(told[0].change.key_text, None);
            assert_eq!(told[0].values["id"].as_deref(), Some("1"));
        }
        let told = told(&shape("key"), "delete", "(1)");
        assert_eq!((told[0].deed, told[0].values.len()), (Deed::Delete, 0));
    }
}
