//! One event of a queue, parsed once from its text columns into what it says. Pure.
//!
//! Source: `sql/FORMAT.md`. An event of another program is [`Event::Other`]; one that carries our name and is
//! not what capture writes is an error, because nothing that follows it could be trusted.

use crate::{
    name::{BadName, TableName},
    shape::{BadShape, Shape, ShapeId},
};

/// The prefix of our event types; `insert_event` refuses it to everybody else.
pub const PREFIX: &str = "trunkline.";

/// The columns of an event, as the queue gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawEvent<'a> {
    /// Its number.
    pub ev_id: i64,
    /// Its type.
    pub ev_type: Option<&'a str>,
    /// Its data.
    pub ev_data: Option<&'a str>,
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
        /// The table.
        table: TableName,
        /// What the rows consist of.
        shape: ShapeId,
        /// What is said of them.
        kind: Kind,
        /// The rows, to be taken apart by [`crate::row::rows`].
        block: &'a str,
    },
    /// From here on a table's rows have this shape.
    Shape(Box<Shape>),
    /// A table was emptied.
    Truncate {
        /// The table.
        table: TableName,
        /// The shape at that time.
        shape: ShapeId,
    },
    /// An event of another program: counted and left alone.
    Other,
}

/// What an event says of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Whole rows; no row had the key before.
    Insert,
    /// Whole rows; a row had the key before.
    Update,
    /// Keys; a row had the key before, none has it now.
    Delete,
    /// Whole rows; nothing is said of before.
    Live,
    /// Keys; no row has the key now, nothing is said of before.
    Gone,
}

impl Kind {
    /// Whether the rows are keys alone.
    pub fn is_key_only(self) -> bool {
        match self {
            Kind::Delete | Kind::Gone => true,
            Kind::Insert | Kind::Update | Kind::Live => false,
        }
    }

    fn parse(text: &str) -> Option<Kind> {
        match text {
            "insert" => Some(Kind::Insert),
            "update" => Some(Kind::Update),
            "delete" => Some(Kind::Delete),
            "live" => Some(Kind::Live),
            "gone" => Some(Kind::Gone),
            _ => None,
        }
    }
}

/// An event of ours that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("event {ev_id}")]
pub struct BadEvent {
    /// Its number.
    pub ev_id: i64,
    /// What is wrong with it.
    #[source]
    pub why: Why,
}

/// What is wrong with an event.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// A newer program wrote it.
    #[error("its type {0:?} is not known to this version: upgrade this program")]
    UnknownType(String),
    /// A column is NULL.
    #[error("{0} is NULL")]
    Missing(&'static str),
    /// The table's name cannot be read.
    #[error("ev_extra1 is wrong")]
    Table(#[from] BadName),
    /// The shape's number is none.
    #[error("ev_extra2 {0:?} is no shape's number")]
    ShapeId(String),
    /// The kind of rows is unknown.
    #[error("ev_extra3 {0:?} is no kind of rows that this version knows")]
    Kind(String),
    /// The shape cannot be read.
    #[error("its shape is wrong")]
    Shape(#[from] BadShape),
}

impl<'a> RawEvent<'a> {
    /// What the event says.
    ///
    /// # Errors
    /// [`BadEvent`] if it carries our prefix and is not as `sql/FORMAT.md` says.
    pub fn parse(&self) -> Result<Event<'a>, BadEvent> {
        self.read().map_err(|why| BadEvent {
            ev_id: self.ev_id,
            why,
        })
    }

    fn read(&self) -> Result<Event<'a>, Why> {
        match self.ev_type {
            Some("trunkline.1.rows") => Ok(Event::Rows {
                table: self.table()?,
                shape: self.shape_id()?,
                kind: self.kind()?,
                block: self.ev_data.ok_or(Why::Missing("ev_data"))?,
            }),
            Some("trunkline.1.truncate") => Ok(Event::Truncate {
                table: self.table()?,
                shape: self.shape_id()?,
            }),
            Some("trunkline.1.shape") => {
                let json = self.ev_data.ok_or(Why::Missing("ev_data"))?;
                Ok(Event::Shape(Box::new(Shape::from_json(json)?)))
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

    fn kind(&self) -> Result<Kind, Why> {
        let text = self.ev_extra3.ok_or(Why::Missing("ev_extra3"))?;
        Kind::parse(text).ok_or_else(|| Why::Kind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> RawEvent<'static> {
        RawEvent {
            ev_id: 42,
            ev_type: Some("trunkline.1.rows"),
            ev_data: Some("(1,a)"),
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
                table: TableName::new("public", "user"),
                shape: ShapeId(7),
                kind: Kind::Update,
                block: "(1,a)",
            }
        );
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
}
