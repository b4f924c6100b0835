//! The body of a segment, read record by record, and checked: its frames follow each other, and each event is one that
//! its frame may have.

use std::{collections::HashSet, io::Read};

use bytes::Bytes;
use sql::{
    event::{
        PREFIX,
        shape::{Shape, ShapeId},
        tuple::{BadTuple, Tuple, Tuples},
    },
    queue::tick::{Snapshot, SnapshotText},
};

use super::{
    frame::{COLUMNS, Header, Heirs, column},
    place::Place,
    record::{self, Kind},
};

/// What a body holds, piece by piece.
#[derive(Debug)]
pub enum Piece {
    /// A part of a frame begins.
    Part(Header),
    /// An event of the part.
    Event(Tuple<COLUMNS>),
    /// The tables of the queue that follows.
    Heirs(Heirs),
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadBody {
    /// It cannot be unpacked, or a record is cut off.
    #[error("its body cannot be read: {0}")]
    Record(#[from] std::io::Error),
    /// A part does not begin as one does, or a list of tables is none.
    #[error("a part of a frame, or the tables of a queue, cannot be read: {0}")]
    Header(#[from] serde_json::Error),
    /// Events are no rows of COPY.
    #[error("its events cannot be read: {0}")]
    Event(#[from] BadTuple),
    /// It is encrypted, and nothing that is at hand opens it. Nothing is wrong with it.
    #[error("its body cannot be read: {0}")]
    Closed(String),
    /// Something that no writer writes.
    #[error("{0}")]
    Wrong(String),
}

/// The pieces of a body that is given unpacked.
pub struct Pieces<R> {
    from: R,
    tuples: Tuples<COLUMNS>,
    raw_bytes: u64,
    has_part: bool,
}

impl<R: Read> Pieces<R> {
    /// The pieces of a body.
    pub fn new(from: R) -> Pieces<R> {
        Pieces {
            from,
            tuples: Tuples::without_header(),
            raw_bytes: 0,
            has_part: false,
        }
    }

    /// How many bytes have been read.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// The next piece; None: the body ends.
    ///
    /// # Errors
    /// [`BadBody`]; nothing that follows can be read.
    pub fn read(&mut self) -> Result<Option<Piece>, BadBody> {
        loop {
            if let Some(tuple) = self.tuples.pop()? {
                return Ok(Some(Piece::Event(tuple)));
            }
            if !self.tuples.is_between_rows() {
                return Err(BadTuple::CutOff.into());
            }
            let Some((kind, payload)) = record::read(&mut self.from)? else {
                return Ok(None);
            };
            self.raw_bytes += 5 + payload.len() as u64;
            match kind {
                Kind::Frame => {
                    self.has_part = true;
                    let header = serde_json::from_slice(&payload)?;
                    return Ok(Some(Piece::Part(header)));
                }
                Kind::Heirs => {
                    self.has_part = false;
                    let heirs = serde_json::from_slice(&payload)?;
                    return Ok(Some(Piece::Heirs(heirs)));
                }
                Kind::Events if !self.has_part => {
                    return Err(BadBody::Wrong("it begins with events of no frame".into()));
                }
                Kind::Events => self.tuples.push(Bytes::from(payload)),
            }
        }
    }
}

/// How far the frames of a chain have been followed.
#[derive(Debug, Default)]
pub struct Frames {
    /// Where the last whole frame ends; None: not known.
    at: Option<Place>,
    /// The snapshot there; None: not known.
    shown: Option<Snapshot>,
    /// A frame whose last part has not come.
    open: Option<Open>,
    /// What came before could not be opened: a frame may have begun there.
    is_open_before: bool,
}

#[derive(Debug)]
struct Open {
    from: Place,
    to: Place,
    parts: u32,
    is_last: bool,
    /// None: not known, as the frame's first part could not be opened.
    shows: Option<Snapshot>,
    last_event: Option<i64>,
}

/// What a body holds, by count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that end.
    pub frames: u64,
    /// Parts.
    pub parts: u64,
    /// Events.
    pub events: u64,
    /// Bytes.
    pub raw_bytes: u64,
}

impl Frames {
    /// Where the last whole frame ends; None: not known.
    pub fn at(&self) -> Option<Place> {
        self.at
    }

    /// Goes on at a position whose snapshot is not known: after a hole, or after a segment that cannot be read.
    pub fn go_on_at(&mut self, place: Place) {
        *self = Frames {
            at: Some(place),
            ..Frames::default()
        };
    }

    /// Goes on behind a segment that nothing opens, and that ends at a position.
    pub fn go_on_behind(&mut self, place: Place) {
        self.go_on_at(place);
        self.is_open_before = true;
    }

    /// Follows the frames of a body.
    ///
    /// # Errors
    /// [`BadBody`]: the first thing that is not as it must be.
    pub fn follow(&mut self, body: impl Read) -> Result<Counts, BadBody> {
        let mut pieces = Pieces::new(body);
        let mut counts = Counts::default();
        let mut shapes: HashSet<i64> = HashSet::new();
        while let Some(piece) = pieces.read()? {
            match piece {
                Piece::Part(header) => {
                    counts.frames += u64::from(self.end_part());
                    counts.parts += 1;
                    for shape in &header.shapes {
                        let shape = Shape::from_json(shape.get());
                        let shape = shape.map_err(|bad| BadBody::Wrong(bad.to_string()))?;
                        shapes.insert(shape.shape.0);
                    }
                    self.begin_part(&header).map_err(BadBody::Wrong)?;
                }
                Piece::Event(tuple) => {
                    counts.events += 1;
                    self.event(&tuple, &shapes)?;
                }
                Piece::Heirs(heirs) => {
                    for shape in heirs.tables.iter().filter_map(|one| one.shape.as_ref()) {
                        let shape = Shape::from_json(shape.get());
                        shape.map_err(|bad| BadBody::Wrong(bad.to_string()))?;
                    }
                }
            }
        }
        counts.frames += u64::from(self.end_part());
        counts.raw_bytes = pieces.raw_bytes();
        Ok(counts)
    }

    fn begin_part(&mut self, header: &Header) -> Result<(), String> {
        let is_open_before = std::mem::take(&mut self.is_open_before);
        if header.part > 0 && self.open.is_none() && is_open_before {
            self.open = Some(Open {
                from: header.from,
                to: header.to,
                parts: header.part + 1,
                is_last: header.last,
                shows: None,
                last_event: None,
            });
            return Ok(());
        }
        if header.part > 0 {
            let open = self.open.as_mut().filter(|open| {
                open.from == header.from && open.to == header.to && open.parts == header.part
            });
            let open = open.ok_or("a part of a frame follows nothing that it goes on with")?;
            open.parts += 1;
            open.is_last = header.last;
            return Ok(());
        }
        if self.at.is_some_and(|at| at != header.from) {
            return Err("a frame does not begin where the frame before it ends".into());
        }
        let mut before = header.from.1.0;
        for tick in &header.ticks {
            if tick.0.0 <= before {
                return Err(format!("tick {} does not come after {before}", tick.0.0));
            }
            before = tick.0.0;
        }
        let last = header.ticks.last().ok_or("a frame has no tick")?;
        if (last.0, last.1) != (header.to.1, header.to.2) || header.from.0 != header.to.0 {
            return Err("a frame's last tick is not the one that it ends at".into());
        }
        let shows = SnapshotText(last.3.clone()).parse();
        self.open = Some(Open {
            from: header.from,
            to: header.to,
            parts: 1,
            is_last: header.last,
            shows: Some(shows.ok_or_else(|| format!("tick {} has no snapshot", last.0.0))?),
            last_event: None,
        });
        Ok(())
    }

    /// Ends the part of before; true: its frame is whole.
    fn end_part(&mut self) -> bool {
        let Some(open) = self.open.take_if(|open| open.is_last) else {
            return false;
        };
        self.at = Some(open.to);
        self.shown = open.shows;
        true
    }

    fn event(&mut self, tuple: &Tuple<COLUMNS>, shapes: &HashSet<i64>) -> Result<(), BadBody> {
        let (id, txid) = (tuple.int8(column::ID)?, tuple.int8(column::TXID)?);
        let wrong = |what: &str| Err(BadBody::Wrong(format!("event {id} {what}")));
        let Some(open) = &mut self.open else {
            return wrong("is in no frame");
        };
        if open.last_event.is_some_and(|before| before >= id) {
            return wrong("does not come after the event before it");
        }
        open.last_event = Some(id);
        if open.shows.as_ref().is_some_and(|shows| !shows.shows(txid)) {
            return wrong("is not shown by the tick that its frame ends at");
        }
        if self.shown.as_ref().is_some_and(|shown| shown.shows(txid)) {
            return wrong("is shown by the tick that its frame begins after");
        }
        match shape_of(tuple) {
            Named::Nothing | Named::Script => Ok(()),
            Named::Shape(shape) if shapes.contains(&shape.0) => Ok(()),
            Named::Shape(shape) => wrong(&format!("has shape {}, which is not given", shape.0)),
            Named::Unreadable => wrong("names no shape"),
        }
    }
}

/// The shape that an event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The event is of another program.
    Nothing,
    /// This one.
    Shape(ShapeId),
    /// The event is of capture, and its column is no number.
    Unreadable,
    /// None: it is a script, which may be of any number of tables.
    Script,
}

/// The type of an event that is of no table, although it is ours.
const SCRIPT: &[u8] = b"trunkline.1.script";

/// The shape that an event names. Of a row with more columns the first ones count.
pub fn shape_of<const N: usize>(tuple: &Tuple<N>) -> Named {
    let is_ours = |kind: &[u8]| kind.starts_with(PREFIX.as_bytes());
    if !tuple.field(column::TYPE).is_some_and(is_ours) {
        return Named::Nothing;
    }
    if tuple.field(column::TYPE) == Some(SCRIPT) {
        return Named::Script;
    }
    let text = tuple.field(column::SHAPE);
    let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.map_or(Named::Unreadable, |number| Named::Shape(ShapeId(number)))
}
