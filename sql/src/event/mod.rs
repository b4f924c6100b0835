//! One event of a queue, parsed once from its text columns into what it says. Pure.
//!
//! Source: `sql/FORMAT.md`. An event of another program is [`Event::Other`]. An event whose type has our prefix but
//! whose columns are not what capture writes is an error, because nothing that follows that event could be trusted.

pub mod mapping;
pub mod part;
pub mod row;
pub mod shape;
pub mod tuple;

use serde::Deserialize;

use self::{
    part::Partition,
    shape::{BadShape, Shape, ShapeId},
};
use crate::{
    name::{BadName, TableName},
    script::Script,
};

/// The prefix of our event types; `insert_event` refuses it to everybody else.
pub const PREFIX: &str = "trunkline.";

/// The columns of an event, as the queue gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawEvent<'a> {
    /// The event's number.
    pub ev_id: i64,
    /// The event's type.
    pub ev_type: Option<&'a str>,
    /// The event's data: UTF-8, but for rows of a database whose own encoding is SQL_ASCII, which may hold any bytes.
    pub ev_data: Option<&'a [u8]>,
    /// The table's name.
    pub ev_extra1: Option<&'a str>,
    /// The shape's number.
    pub ev_extra2: Option<&'a str>,
    /// The kind of rows.
    pub ev_extra3: Option<&'a str>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Rows of a table changed.
    Rows {
        /// The table's name as the event has it. The name is not parsed here: an event may come a million times, and
        /// the shape names the table as well.
        table: &'a str,
        /// The shape of the rows.
        shape: ShapeId,
        /// What the event says of the rows.
        kind: EventKind,
        /// The rows, which [`row::rows`] takes apart.
        block: &'a [u8],
    },
    /// The shape of a table's rows from this event on.
    Shape(Box<Shape>),
    /// A table was emptied.
    Truncate {
        /// The table.
        table: TableName,
        /// The table's shape at that time.
        shape: ShapeId,
    },
    /// A change of a table that is not given as rows.
    Mark {
        /// The table.
        table: TableName,
        /// The shape of the table's rows from this event on.
        shape: ShapeId,
        /// The change.
        mark: Mark,
    },
    /// A script of DDL was executed. Boxed, because its text is long and events are many.
    Script(Box<Script>),
    /// An event of another program: counted and left alone.
    Other,
}

/// A change of a table's rows that is told without the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Rows changed in a way that no event tells: the table must be copied again.
    Resync {
        /// The reason.
        why: String,
    },
    /// All rows that lay in a partition are gone.
    Emptied(Partition),
    /// A column has one value in all rows; null if there is none.
    Filled {
        /// The column.
        column: String,
        /// The value's text.
        value: Option<String>,
        /// The provider's column takes no null by now, so null is not the last value of any row. The event does not say
        /// this: a reader sets it after asking the provider.
        never_null: bool,
    },
    /// Values were set in all rows, row by row: rows with this checksum have the new values.
    Digest {
        /// The columns that the checksum is over.
        columns: Vec<String>,
        /// The columns whose values were set; none: not known, so any of `columns`.
        changed: Option<Vec<String>>,
        /// How many rows there are.
        rows: i64,
        /// The sum of the rows' hashes.
        sum: String,
    },
    /// The rows are the node's own from here on: no other node's log has their changes any more.
    Own,
    /// Rows were changed, but the table's identity does not replicate such changes.
    Ignored {
        /// `update` or `delete`.
        operation: String,
        /// How many rows.
        rows: i64,
    },
}

/// The kinds of marks with data of [`MarkData`].
const KNOWN_MARKS: [&str; 5] = ["resync", "filled", "digest", "own", "ignored"];

/// The JSON of marks; a mark has one of these fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MarkData {
    why: String,
    column: Option<String>,
    value: Option<String>,
    columns: Vec<String>,
    changed: Option<Vec<String>>,
    rows: Option<i64>,
    sum: Option<String>,
    operation: Option<String>,
}

/// What an event says of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// Whole rows; before the event no row had the key.
    Insert,
    /// Whole rows; before the event a row had the key.
    Update,
    /// Keys; before the event a row had the key, now no row has it.
    Delete,
    /// Whole rows; whether a row had the key before is not known.
    Live,
    /// Keys; no row has the key now, and whether a row had it before is not known.
    Gone,
    /// Keys; a row has the key now, and the row is too large for an event: it must be fetched.
    Large,
    /// Whole rows of a table without a key; the table has one more of each.
    Plus,
    /// Whole rows of a table without a key; the table has one less of each.
    Minus,
}

impl EventKind {
    /// Whether the event holds keys only.
    pub fn is_key_only(self) -> bool {
        match self {
            EventKind::Delete | EventKind::Gone | EventKind::Large => true,
            EventKind::Insert
            | EventKind::Update
            | EventKind::Live
            | EventKind::Plus
            | EventKind::Minus => false,
        }
    }

    fn parse(text: &str) -> Option<EventKind> {
        match text {
            "insert" => Some(EventKind::Insert),
            "update" => Some(EventKind::Update),
            "delete" => Some(EventKind::Delete),
            "live" => Some(EventKind::Live),
            "gone" => Some(EventKind::Gone),
            "large" => Some(EventKind::Large),
            "plus" => Some(EventKind::Plus),
            "minus" => Some(EventKind::Minus),
            _ => None,
        }
    }
}

/// An event of ours that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("event {ev_id}")]
pub struct BadEvent {
    /// The event's number.
    pub ev_id: i64,
    /// What is wrong with the event.
    #[source]
    pub why: Why,
}

/// What is wrong with an event.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The type of an event that a newer program wrote.
    #[error("its type {0:?} is not known to this version: upgrade this program")]
    UnknownType(String),
    /// A column is NULL or not in UTF-8.
    #[error("{0} is NULL or not in UTF-8")]
    Missing(&'static str),
    /// The table's name cannot be read.
    #[error("ev_extra1 is wrong")]
    Table(#[from] BadName),
    /// ev_extra2 is not a shape's number.
    #[error("ev_extra2 {0:?} is no shape's number")]
    ShapeId(String),
    /// The kind of rows is unknown.
    #[error("ev_extra3 {0:?} is no kind of rows that this version knows")]
    EventKind(String),
    /// The shape cannot be read.
    #[error("its shape is wrong")]
    Shape(#[from] BadShape),
    /// The script cannot be read, or its text is not what its digest says.
    #[error("its data is no script")]
    Script(#[source] serde_json::Error),
    /// The script's text is another one than its digest says.
    #[error("the text of script {0:?} is not the one that its digest was made of")]
    Digest(String),
    /// The mark's data is not what its kind asks for.
    #[error("its data is not that of a mark")]
    Mark(#[from] serde_json::Error),
}

impl<'a> RawEvent<'a> {
    /// What the event says.
    ///
    /// # Errors
    /// [`BadEvent`] if the event's type has our prefix and the event is not as `sql/FORMAT.md` says.
    pub fn parse(&self) -> Result<Event<'a>, BadEvent> {
        self.read().map_err(|why| BadEvent {
            ev_id: self.ev_id,
            why,
        })
    }

    fn read(&self) -> Result<Event<'a>, Why> {
        match self.ev_type {
            Some("trunkline.1.rows") => Ok(Event::Rows {
                table: self.ev_extra1.ok_or(Why::Missing("ev_extra1"))?,
                shape: self.shape_id()?,
                kind: self.kind()?,
                block: self.ev_data.ok_or(Why::Missing("ev_data"))?,
            }),
            Some("trunkline.1.truncate") => Ok(Event::Truncate {
                table: self.table()?,
                shape: self.shape_id()?,
            }),
            Some("trunkline.1.mark") => Ok(Event::Mark {
                table: self.table()?,
                shape: self.shape_id()?,
                mark: self.mark()?,
            }),
            Some("trunkline.1.shape") => {
                Ok(Event::Shape(Box::new(Shape::from_json(self.json()?)?)))
            }
            Some("trunkline.1.script") => {
                let script: Script = serde_json::from_str(self.json()?).map_err(Why::Script)?;
                if !script.is_whole() {
                    return Err(Why::Digest(script.id));
                }
                Ok(Event::Script(Box::new(script)))
            }
            Some(ours) if ours.starts_with(PREFIX) => Err(Why::UnknownType(ours.to_owned())),
            Some(_) | None => Ok(Event::Other),
        }
    }

    fn table(&self) -> Result<TableName, Why> {
        Ok(self.ev_extra1.ok_or(Why::Missing("ev_extra1"))?.parse()?)
    }

    fn shape_id(&self) -> Result<ShapeId, Why> {
        let text = self.ev_extra2.ok_or(Why::Missing("ev_extra2"))?;
        text.parse()
            .map(ShapeId)
            .map_err(|_| Why::ShapeId(text.to_owned()))
    }

    fn kind(&self) -> Result<EventKind, Why> {
        let text = self.ev_extra3.ok_or(Why::Missing("ev_extra3"))?;
        EventKind::parse(text).ok_or_else(|| Why::EventKind(text.to_owned()))
    }

    fn json(&self) -> Result<&'a str, Why> {
        let data = self.ev_data.ok_or(Why::Missing("ev_data"))?;
        std::str::from_utf8(data).map_err(|_| Why::Missing("ev_data"))
    }

    fn mark(&self) -> Result<Mark, Why> {
        let json = self.json()?;
        let kind = self.ev_extra3.ok_or(Why::Missing("ev_extra3"))?;
        if kind == "emptied" {
            return Ok(Mark::Emptied(serde_json::from_str(json)?));
        }
        if !KNOWN_MARKS.contains(&kind) {
            // A newer capture says something that may be about the rows.
            return Ok(Mark::Resync {
                why: format!("the provider says {kind:?} of it, which this version does not know"),
            });
        }
        let data: MarkData = serde_json::from_str(json)?;
        match kind {
            "own" => Ok(Mark::Own),
            "filled" => Ok(Mark::Filled {
                column: data.column.ok_or(Why::Missing("column"))?,
                value: data.value,
                never_null: false,
            }),
            "digest" => Ok(Mark::Digest {
                columns: data.columns,
                changed: data.changed,
                rows: data.rows.ok_or(Why::Missing("rows"))?,
                sum: data.sum.ok_or(Why::Missing("sum"))?,
            }),
            "ignored" => Ok(Mark::Ignored {
                operation: data.operation.ok_or(Why::Missing("operation"))?,
                rows: data.rows.ok_or(Why::Missing("rows"))?,
            }),
            _ => Ok(Mark::Resync { why: data.why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> RawEvent<'static> {
        RawEvent {
            ev_id: 42,
            ev_type: Some("trunkline.1.rows"),
            ev_data: Some(b"(1,a)"),
            ev_extra1: Some("public.\"user\""),
            ev_extra2: Some("7"),
            ev_extra3: Some("update"),
        }
    }

    #[test]
    fn an_event_of_rows_is_read() {
        assert_eq!(
            rows().parse().unwrap(),
            Event::Rows {
                table: "public.\"user\"",
                shape: ShapeId(7),
                kind: EventKind::Update,
                block: b"(1,a)",
            }
        );
    }

    #[test]
    fn marks_are_read_by_their_kind_and_must_hold_what_it_asks_for() {
        let mark = |kind, data: &'static str| {
            let raw = RawEvent {
                ev_type: Some("trunkline.1.mark"),
                ev_extra3: Some(kind),
                ev_data: Some(data.as_bytes()),
                ..rows()
            };
            match raw.parse() {
                Ok(Event::Mark { mark, .. }) => Ok(mark),
                Ok(other) => panic!("{other:?}"),
                Err(bad) => Err(bad),
            }
        };
        assert_eq!(
            mark("filled", r#"{"column": "d", "value": null}"#).unwrap(),
            Mark::Filled {
                column: "d".into(),
                value: None,
                never_null: false,
            }
        );
        // Older versions wrote the condition as SQL, which is not read any more.
        let part =
            r#"{"part": {"schema": "s", "name": "p"}, "bound": "DEFAULT", "where": "(a > 1)"}"#;
        let Mark::Emptied(part) = mark("emptied", part).unwrap() else {
            panic!("not emptied");
        };
        assert_eq!((part.part.name.as_str(), part.within), ("p", None));
        for (kind, data) in [
            ("filled", "{}"),
            ("digest", r#"{"rows": 1}"#),
            ("ignored", r#"{"rows": 1}"#),
            ("emptied", "{}"),
            ("resync", "no JSON"),
        ] {
            assert!(mark(kind, data).is_err(), "{kind}");
        }
        // Whatever a newer capture says, the rows may not be what they seem.
        let newer = mark("newer", r#"{"columns": 1}"#).unwrap();
        assert!(matches!(newer, Mark::Resync { why } if why.contains("newer")));
    }

    #[test]
    fn an_event_of_another_program_is_left_alone() {
        for ev_type in [None, Some("I:id"), Some("custom"), Some("")] {
            let raw = RawEvent { ev_type, ..rows() };
            assert_eq!(raw.parse().unwrap(), Event::Other);
        }
    }

    #[test]
    fn a_bad_event_of_ours_is_an_error_that_names_it() {
        let bad = [
            RawEvent {
                ev_type: Some("trunkline.2.rows"),
                ..rows()
            },
            RawEvent {
                ev_type: Some("trunkline.1.shape"),
                ..rows()
            },
            RawEvent {
                ev_data: None,
                ..rows()
            },
            RawEvent {
                ev_extra1: None,
                ..rows()
            },
            RawEvent {
                ev_type: Some("trunkline.1.truncate"),
                ev_extra1: Some("a b"),
                ..rows()
            },
            RawEvent {
                ev_extra2: Some("x"),
                ..rows()
            },
            RawEvent {
                ev_extra3: Some("upsert"),
                ..rows()
            },
        ];
        for raw in bad {
            assert_eq!(raw.parse().unwrap_err().to_string(), "event 42");
        }
    }

    /// Texts that are nearly what capture writes, and any text.
    fn text() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            Just(None),
            "\\PC{0,40}".prop_map(Some),
            "trunkline\\.[0-9]\\.(rows|shape|truncate|mark|ddl)?".prop_map(Some),
            "(insert|update|delete|live|gone)?".prop_map(Some),
            "-?[0-9]{0,20}".prop_map(Some),
            "(\"?[a-z \"]{0,6}\"?\\.?){0,3}".prop_map(Some),
            "(\\((\"?[a-z,\\\\\" \n]{0,5}\"?,?){0,4}\\)\n?){0,3}".prop_map(Some),
            r#"\{("shape": ?-?[0-9]{1,20},? ?|"identity": "key",|"columns": \[\],|"table": \{"schema": "", "name": "", "oid": 1\},|"dropped": true,?){0,5}\}"#
                .prop_map(Some),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn any_event_is_read_or_refused_and_so_are_its_rows(
            ev_type in text(), ev_data in text(), extra in (text(), text(), text()), columns in 0..5usize
        ) {
            let raw = RawEvent {
                ev_id: 1,
                ev_type: ev_type.as_deref(),
                ev_data: ev_data.as_deref().map(str::as_bytes),
                ev_extra1: extra.0.as_deref(),
                ev_extra2: extra.1.as_deref(),
                ev_extra3: extra.2.as_deref(),
            };
            let ours = raw.ev_type.is_some_and(|name| name.starts_with(PREFIX));
            match raw.parse() {
                Ok(event) => prop_assert_eq!(ours, event != Event::Other),
                Err(error) => {
                    prop_assert!(ours);
                    prop_assert_eq!(error.ev_id, 1);
                }
            }
            for row in row::rows(ev_data.as_deref().unwrap_or_default().as_bytes(), columns) {
                let Ok(row) = row else { continue };
                prop_assert!(row::fields(row).count() == columns.max(1));
                let mut copy = bytes::BytesMut::new();
                row::to_copy_text(row, &(0..columns).collect::<Vec<_>>(), &mut copy);
                prop_assert_eq!(copy.iter().filter(|&&byte| byte == b'\n').count(), 1);
            }
        }
    }
}
