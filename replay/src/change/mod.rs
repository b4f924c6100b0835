//! Events decoded into changes. Pure: knows neither tokio nor a database.

pub(crate) mod altered;
mod passing;
mod rows;
mod text_stays;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use sql::{
    event::{
        BadEvent, Event, EventKind, Mark, RawEvent,
        row::{self, BadBlock},
        shape::{
            BadShape, Shape, ShapeId,
            since::{MadeOf, Since},
        },
    },
    name::TableName,
    script::Script,
    subscriber::skipped_change::RowNumber,
};

pub(crate) use self::rows::{RowAt, Said, Span};
use self::{altered::Altered, passing::Passing};

/// An event decoded, with the shape of its rows.
#[derive(Debug)]
pub(crate) enum Change {
    /// Rows changed.
    Rows(Rows),
    /// The table was emptied.
    Truncate(Arc<Shape>),
    /// The table has this shape from this event on.
    Shape(Arc<Shape>),
    /// The columns of the table with this shape are others than before. The shape is new, too, but for one that its own
    /// transaction replaces.
    Altered(Arc<Shape>, Arc<Altered>, IsNew),
    /// A change of the table that is not given as rows.
    Mark(Arc<Shape>, Mark),
    /// Rows that are too large for an event, by their keys.
    Large(Rows),
    /// A script of DDL was executed.
    Script(Arc<Script>),
    /// Nothing to replicate: an event of another program, or a shape that its own transaction replaces.
    Nothing,
}

/// Whether the table has a shape from an event on, or its own transaction replaces the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsNew {
    /// It has.
    Yes,
    /// It is replaced.
    No,
}

/// A block of rows, with the places of its rows and keys.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// The shape of the rows.
    pub shape: Arc<Shape>,
    /// What the event says of the rows.
    pub said: Said,
    /// The place of each row in the buffer.
    pub rows: Vec<RowAt>,
    /// The block, and behind it the keys and rows that are not a piece of the block as they are.
    pub buffer: Bytes,
}

impl Rows {
    /// The key of the row with this number, from 0 on, as record text without the outer parentheses.
    pub(crate) fn key(&self, place: usize) -> Option<&[u8]> {
        Some(self.rows.get(place)?.key.of(&self.buffer))
    }

    /// The rows without those that `left_out` numbers, counted within the event.
    pub(crate) fn without(mut self, left_out: Option<&HashSet<RowNumber>>) -> Rows {
        if let Some(left_out) = left_out {
            let is_all = left_out.contains(&0);
            let mut number: RowNumber = 0;
            self.rows.retain(|_| {
                number += 1;
                !is_all && !left_out.contains(&number)
            });
        }
        self
    }
}

/// An event that cannot be decoded. No event after it could be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    /// The event's columns are not as capture writes them.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The event's rows are not as capture writes them.
    #[error("its rows cannot be read")]
    Block(#[from] BadBlock),
    /// The event's rows have more bytes than can be counted.
    #[error("its rows have more than 4 GB")]
    TooLarge,
    /// A shape that is stored on the provider cannot be read.
    #[error("a shape cannot be read")]
    Shape(#[from] BadShape),
    /// The shape of the event's rows came neither as an event nor from the provider's list.
    #[error("shape {} of table {table} is not known", shape.0)]
    UnknownShape {
        /// The shape's number.
        shape: ShapeId,
        /// The table's name in the event.
        table: String,
    },
}

/// Decodes a queue's events in order, and learns the shapes that come as events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    shapes: HashMap<ShapeId, Known>,
}

/// A shape, with what is needed for every event of the shape.
#[derive(Clone, Debug)]
struct Known {
    shape: Arc<Shape>,
    key_fields: Arc<[usize]>,
    /// Set if the transaction that made the shape replaces it: the rows are then converted to the transaction's last
    /// shape.
    passing: Option<Arc<Passing>>,
}

impl Known {
    /// The shape that the rows have after they are decoded.
    fn told(&self) -> &Arc<Shape> {
        match &self.passing {
            Some(passing) => &passing.shape,
            None => &self.shape,
        }
    }
}

/// What the provider knows now of an event's table, in the form of [`sql::provider::Batch::copy_events`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Later<'a>(pub(crate) Option<&'a str>);

impl Later<'_> {
    /// For the event of a shape: the last shape of the event's transaction; none if that is the same shape.
    fn last_shape(self) -> Result<Option<Shape>, BadShape> {
        self.0.map(Shape::from_json).transpose()
    }

    /// For the event of a shape: of what the columns of that last shape are made.
    fn made_of(self) -> Result<Option<Vec<MadeOf>>, BadShape> {
        let since = self.0.map(Since::from_json).transpose()?;
        Ok(since.and_then(|since| since.made_of))
    }

    /// For a mark `filled`: whether the column with this number takes no null.
    fn is_never_null(self, attnum: i16) -> bool {
        // The provider gives null if no column of the table is NOT NULL.
        let mut numbers = self.0.unwrap_or_default().split(' ');
        numbers.any(|number| number.parse() == Ok(attnum))
    }
}

impl Decoder {
    /// A decoder that knows these shapes, given as the provider stores them.
    pub(crate) fn new(definitions: &[String]) -> Result<Decoder, Undecodable> {
        let mut decoder = Decoder::default();
        for definition in definitions {
            decoder.learn(Shape::from_json(definition)?, None);
        }
        Ok(decoder)
    }

    /// Learns a shape, with the last shape of its transaction, and gives the change that the shape's event is.
    fn learn(&mut self, shape: Shape, last: Option<&Shape>) -> Change {
        let shape = Arc::new(shape);
        let passing = last.and_then(|last| Passing::new(&shape, last));
        let change = match passing {
            Some(_) => Change::Nothing,
            None => Change::Shape(Arc::clone(&shape)),
        };
        let known = Known {
            key_fields: shape.key_fields().into(),
            passing: passing.map(Arc::new),
            shape: Arc::clone(&shape),
        };
        self.shapes.insert(shape.shape, known);
        change
    }

    /// The change that a shape's event is, with what the event says beside the shape.
    fn shape(&mut self, shape: Shape, since: &Since, later: Later<'_>) -> Result<Change, BadShape> {
        let (number, last) = (shape.shape, later.last_shape()?);
        let change = self.learn(shape, last.as_ref());
        let (Some(was), Some(known)) = (&since.was, self.shapes.get(&number)) else {
            return Ok(change);
        };
        // The rows of a transaction's passing shapes are told in its last shape. So the first of its events changes the
        // columns to what the transaction has made of them in the end, and what was said of those between is no news.
        let is_told = |known: &Known| known.passing.is_some();
        if self.shapes.get(&was.shape).is_some_and(is_told) {
            return Ok(change);
        }
        let (now, is_new, made_of) = match (&known.passing, &last) {
            (Some(_), Some(last)) => (last, IsNew::No, later.made_of()?),
            (Some(_) | None, _) => (&*known.shape, IsNew::Yes, None),
        };
        let made_of = made_of.as_ref().or(since.made_of.as_ref());
        let altered = Altered::between(&was.columns, now, made_of.map_or(&[], Vec::as_slice));
        Ok(match altered {
            None => change,
            Some(altered) => Change::Altered(Arc::clone(known.told()), Arc::new(altered), is_new),
        })
    }

    /// Learns a shape that stands beside events, unless it is known: what its own event has said of it counts.
    pub(crate) fn learn_beside(&mut self, shape: Shape) {
        if !self.shapes.contains_key(&shape.shape) {
            self.learn(shape, None);
        }
    }

    /// The tables whose shapes are known, by their oids, each with the newest of its names.
    pub(crate) fn tables(&self) -> BTreeMap<u32, TableName> {
        let mut newest: BTreeMap<u32, &Arc<Shape>> = BTreeMap::new();
        for known in self.shapes.values() {
            let shape = &known.shape;
            let newest = newest.entry(shape.table.oid).or_insert(shape);
            if newest.shape < shape.shape {
                *newest = shape;
            }
        }
        let named = newest.into_iter();
        named
            .map(|(oid, shape)| (oid, shape.table_name()))
            .collect()
    }

    /// The table of a shape, by its oid on the provider; none: the shape is not known.
    pub(crate) fn table_of(&self, shape: ShapeId) -> Option<u32> {
        self.shapes.get(&shape).map(|known| known.shape.table.oid)
    }

    /// The newest shape of a table.
    pub(crate) fn newest(&self, table_oid: u32) -> Option<&Arc<Shape>> {
        self.shapes
            .values()
            .map(|known| &known.shape)
            .filter(|shape| shape.table.oid == table_oid)
            .max_by_key(|shape| shape.shape)
    }

    /// Decodes the next event; `later` says what became of its table later.
    pub(crate) fn decode(
        &mut self,
        event: RawEvent<'_>,
        later: Later<'_>,
    ) -> Result<Change, Undecodable> {
        Ok(match event.parse()? {
            Event::Rows {
                table,
                shape,
                kind,
                block,
            } => {
                let known = self.known(shape, || table.to_owned())?;
                let rows = rows(known, kind, block)?;
                match kind {
                    EventKind::Large => Change::Large(rows),
                    EventKind::Insert
                    | EventKind::Update
                    | EventKind::Delete
                    | EventKind::Live
                    | EventKind::Gone
                    | EventKind::Plus
                    | EventKind::Minus => Change::Rows(rows),
                }
            }
            Event::Truncate { table, shape } => {
                let known = self.known(shape, || table.to_string())?;
                Change::Truncate(Arc::clone(known.told()))
            }
            Event::Shape(shape) => {
                let since = event
                    .ev_data
                    .and_then(|data| std::str::from_utf8(data).ok());
                let since = since.map(Since::from_json).transpose();
                let since = since.map_err(BadShape::from)?.unwrap_or_default();
                self.shape(*shape, &since, later)?
            }
            Event::Mark { table, shape, mark } => {
                mark_of(self.known(shape, || table.to_string())?, mark, later)
            }
            Event::Script(script) => Change::Script(Arc::from(script)),
            Event::Other => Change::Nothing,
        })
    }

    fn known(&self, shape: ShapeId, table: impl Fn() -> String) -> Result<&Known, Undecodable> {
        self.shapes
            .get(&shape)
            .ok_or_else(|| Undecodable::UnknownShape {
                shape,
                table: table(),
            })
    }
}

/// A mark, converted to the shape that the table's rows are decoded with.
fn mark_of(known: &Known, mut mark: Mark, later: Later<'_>) -> Change {
    if let Mark::Filled {
        column, never_null, ..
    } = &mut mark
    {
        let of_shape = known.shape.columns.iter().find(|one| one.name == *column);
        let attnum = of_shape.and_then(|column| column.attnum);
        *never_null = attnum.is_some_and(|attnum| later.is_never_null(attnum));
    }
    let mark = match &known.passing {
        Some(passing) => passing.mark(mark),
        None => Some(mark),
    };
    mark.map_or(Change::Nothing, |mark| {
        Change::Mark(Arc::clone(known.told()), mark)
    })
}

/// Finds the rows and keys in a block.
fn rows(known: &Known, kind: EventKind, block: &[u8]) -> Result<Rows, Undecodable> {
    let Known {
        shape,
        key_fields,
        passing,
    } = known;
    let keys_only = kind.is_key_only();
    let columns = if keys_only {
        key_fields.len()
    } else {
        shape.columns.len()
    };
    // Without a key the whole row tells rows apart.
    let is_key = keys_only || !shape.has_key();
    let at = |part: &[u8]| {
        // `part` borrows from the block, so its address tells where it starts.
        let start = part.as_ptr().addr().wrapping_sub(block.as_ptr().addr());
        Span::new(start, part.len()).ok_or(Undecodable::TooLarge)
    };
    let mut beside: Vec<u8> = Vec::new();
    let mut put_beside = |text: &[u8]| {
        let start = block.len() + beside.len();
        beside.extend_from_slice(text);
        Span::new(start, text.len()).ok_or(Undecodable::TooLarge)
    };
    let mut rows = Vec::new();
    for text in row::rows(block, columns) {
        let text = text?;
        let whole = match passing {
            Some(passing) if !keys_only => put_beside(&passing.row(text))?,
            Some(_) | None => at(text)?,
        };
        if is_key {
            rows.push(RowAt {
                key: whole,
                row: None,
            });
            continue;
        }
        let key = match row::project(text, key_fields) {
            Cow::Borrowed(part) => at(part)?,
            Cow::Owned(key) => put_beside(&key)?,
        };
        rows.push(RowAt {
            key,
            row: Some(whole),
        });
    }
    let buffer = if beside.is_empty() {
        Bytes::copy_from_slice(block)
    } else {
        Bytes::from([block, &beside].concat())
    };
    Ok(Rows {
        said: said(kind),
        shape: Arc::clone(known.told()),
        rows,
        buffer,
    })
}

fn said(kind: EventKind) -> Said {
    match kind {
        EventKind::Insert => Said::Inserted,
        EventKind::Update => Said::Updated,
        EventKind::Delete => Said::Deleted,
        EventKind::Live => Said::Live,
        // A large row counts as gone until it is fetched.
        EventKind::Gone | EventKind::Large => Said::Gone,
        EventKind::Plus => Said::More,
        EventKind::Minus => Said::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: &str = r#"{"shape":7,"table":{"schema":"public","name":"t","oid":9},"identity":"key",
        "columns":[{"name":"v","type":"text","key":null,"text_equal":true},
                   {"name":"id","type":"integer","key":1,"text_equal":true}]}"#;

    fn event<'a>(ev_type: &'a str, data: Option<&'a str>, kind: &'a str) -> RawEvent<'a> {
        RawEvent {
            ev_id: 1,
            ev_type: Some(ev_type),
            ev_data: data.map(str::as_bytes),
            ev_extra1: Some("public.t"),
            ev_extra2: Some("7"),
            ev_extra3: Some(kind),
        }
    }

    #[test]
    fn keys_are_taken_from_wherever_they_stand_in_the_row() {
        let mut decoder = Decoder::new(&[SHAPE.to_owned()]).unwrap();
        let event = event("trunkline.1.rows", Some("(a,1)\n(\"b,c\",2)"), "update");
        let Change::Rows(rows) = decoder.decode(event, Later::default()).unwrap() else {
            panic!("not rows");
        };
        assert_eq!(rows.key(0), Some(&b"1"[..]));
        assert_eq!(rows.key(1), Some(&b"2"[..]));
        assert_eq!(rows.key(2), None);
        assert_eq!(rows.said, Said::Updated);
    }

    #[test]
    fn a_shape_is_learnt_from_the_queue_before_its_first_use() {
        let mut decoder = Decoder::default();
        let rows = event("trunkline.1.rows", Some("(1)"), "delete");
        assert!(matches!(
            decoder.decode(rows, Later::default()),
            Err(Undecodable::UnknownShape { .. })
        ));
        decoder
            .decode(
                event("trunkline.1.shape", Some(SHAPE), ""),
                Later::default(),
            )
            .unwrap();
        assert!(matches!(
            decoder.decode(rows, Later::default()),
            Ok(Change::Rows(_))
        ));
    }

    #[test]
    fn another_program_s_event_is_no_change() {
        let mut decoder = Decoder::default();
        let other = event("custom", Some("drop table t"), "");
        assert!(matches!(
            decoder.decode(other, Later::default()),
            Ok(Change::Nothing)
        ));
    }
}
