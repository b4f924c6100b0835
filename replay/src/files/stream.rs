//! The events of a batch of an archive, read and unpacked by a thread of their own, a little ahead of whoever takes
//! them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::value::RawValue;
use sql::{
    event::{
        RawEvent,
        shape::Shape,
        tuple::{BadTuple, Tuple},
    },
    queue::tick::Snapshot,
};
use tokio::sync::mpsc;

use super::{
    trail::{PartAt, Piece, Segment},
    unreadable::{damaged, of_body},
};
use crate::{
    archive::{store::Store, unpacked},
    change::{Decoder, Later},
    frames::{
        body::{self, Named, Pieces, shape_of},
        cut::Cut,
        frame::{COLUMNS, column},
        place::Number,
    },
    trouble::Trouble,
};

/// How many loads of events are unpacked ahead.
const AHEAD: usize = 4;

/// About how many bytes of events one load has.
const LOAD: usize = 256 << 10;

/// The events of a batch that are wanted: those for which each field that is set holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Events of the tables with these oids on the provider; events of another program are of no table.
    pub tables: Option<HashSet<u32>>,
    /// Events of transactions that the snapshot of a copy does not show.
    pub not_shown_by: Option<Snapshot>,
}

impl Wanted {
    fn takes(&self, tuple: &Tuple<COLUMNS>, decoder: &Decoder) -> Result<bool, BadTuple> {
        let is_shown = match &self.not_shown_by {
            None => false,
            Some(snapshot) => snapshot.shows(tuple.int8(column::TXID)?),
        };
        let is_of_table = |tables: &HashSet<u32>| match shape_of(tuple) {
            Named::Nothing => false,
            // What cannot be read must be told, and not left out. A script may be of any table.
            Named::Unreadable | Named::Script => true,
            Named::Shape(shape) => decoder
                .table_of(shape)
                .is_none_or(|oid| tables.contains(&oid)),
        };
        Ok(!is_shown && self.tables.as_ref().is_none_or(is_of_table))
    }
}

/// What the thread sends.
enum Load {
    /// Shapes that are given before the next events.
    Shapes(Vec<Box<RawValue>>),
    /// What the provider knew of the next events when they were read.
    Later(Vec<(Number, String)>),
    /// Events.
    Events(Vec<Tuple<COLUMNS>>),
    /// All was sent.
    End,
}

/// The events of a batch, in order.
pub(crate) struct FileEvents {
    loads: mpsc::Receiver<Result<Load, Trouble>>,
    events: std::vec::IntoIter<Tuple<COLUMNS>>,
    later: HashMap<i64, String>,
    wanted: Wanted,
}

/// An event, with what the provider knew of it.
pub(crate) struct Found {
    tuple: Tuple<COLUMNS>,
    later: Option<String>,
}

impl Found {
    /// The event as capture wrote it.
    ///
    /// # Errors
    /// [`BadTuple`]: it has no number.
    pub(crate) fn raw(&self) -> Result<(RawEvent<'_>, Later<'_>), BadTuple> {
        let text = |place| {
            let bytes: Option<&[u8]> = self.tuple.field(place);
            bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
        };
        let event = RawEvent {
            ev_id: self.tuple.int8(column::ID)?,
            ev_type: text(column::TYPE),
            ev_data: self.tuple.field(column::DATA),
            ev_extra1: text(column::DATA + 1),
            ev_extra2: text(column::SHAPE),
            ev_extra3: text(column::SHAPE + 1),
        };
        Ok((event, Later(self.later.as_deref())))
    }
}

impl FileEvents {
    /// Begins to read the pieces of a batch. The thread ends when the events are dropped.
    pub(super) fn read(store: &Store, pieces: Vec<Piece>, wanted: Wanted) -> FileEvents {
        let (sender, loads) = mpsc::channel(AHEAD);
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            // Whoever does not want the events any more has dropped the other end.
            let ended = match send(&store, &pieces, &sender) {
                Ok(Sent::All) => Ok(Load::End),
                Ok(Sent::NotWanted) => return,
                Err(trouble) => Err(trouble),
            };
            let _ = sender.blocking_send(ended);
        });
        FileEvents {
            loads,
            events: Vec::new().into_iter(),
            later: HashMap::new(),
            wanted,
        }
    }

    /// The next event that is wanted; none at the end. The decoder learns the shapes that are given.
    pub(crate) async fn next(&mut self, decoder: &mut Decoder) -> Result<Option<Found>, Trouble> {
        loop {
            for tuple in self.events.by_ref() {
                if !self.wanted.takes(&tuple, decoder).map_err(unreadable)? {
                    continue;
                }
                let later = match self.later.is_empty() {
                    true => None,
                    false => {
                        let id = tuple.int8(column::ID).map_err(unreadable)?;
                        self.later.get(&id).cloned()
                    }
                };
                return Ok(Some(Found { tuple, later }));
            }
            let gone = || {
                let gone = anyhow::anyhow!("the thread that reads it is gone");
                Trouble::passing("the reading of the archive broke off", gone)
            };
            match self.loads.recv().await.ok_or_else(gone)?? {
                Load::End => return Ok(None),
                Load::Events(events) => self.events = events.into_iter(),
                Load::Later(later) => {
                    self.later = later.into_iter().map(|(id, text)| (id.0, text)).collect();
                }
                Load::Shapes(shapes) => {
                    for text in shapes {
                        let shape = Shape::from_json(text.get());
                        decoder.learn_beside(shape.map_err(unreadable)?);
                    }
                }
            }
        }
    }
}

fn unreadable(error: impl Into<anyhow::Error>) -> Trouble {
    Trouble::Operator {
        doing: "could not read events of the archive".into(),
        advice: "see replay archive verify; or a later version has written them".into(),
        source: error.into(),
    }
}

/// How the sending ended.
enum Sent {
    All,
    NotWanted,
}

/// Sends the events of all pieces. The parts of a batch lie in the order of the segments.
fn send(
    store: &Store,
    pieces: &[Piece],
    to: &mpsc::Sender<Result<Load, Trouble>>,
) -> Result<Sent, Trouble> {
    let mut parts = pieces
        .iter()
        .flat_map(|piece| piece.parts.iter().map(|part| (part, &piece.cut)))
        .peekable();
    while let Some((first, _)) = parts.peek() {
        let segment = Arc::clone(&first.segment);
        let of_segment =
            std::iter::from_fn(|| parts.next_if(|(part, _)| part.segment.name == segment.name));
        let wanted: Vec<(&PartAt, &Cut)> = of_segment.collect();
        if let Sent::NotWanted = send_segment(store, &segment, &wanted, to)? {
            return Ok(Sent::NotWanted);
        }
    }
    Ok(Sent::All)
}

fn send_segment(
    store: &Store,
    segment: &Segment,
    wanted: &[(&PartAt, &Cut)],
    to: &mpsc::Sender<Result<Load, Trouble>>,
) -> Result<Sent, Trouble> {
    let name = segment.name;
    let opened = unpacked::open(store, name, &segment.stored);
    let mut pieces = Pieces::new(opened.map_err(|bad| of_body(name, bad))?);
    let mut wanted = wanted.iter();
    let (mut next, mut cut) = (wanted.next(), None);
    let mut number = 0;
    let (mut load, mut bytes) = (Vec::new(), 0);
    loop {
        let piece = pieces.read().map_err(|bad| of_body(name, bad))?;
        let is_event = matches!(piece, Some(body::Piece::Event(_)));
        if !load.is_empty() && (!is_event || bytes >= LOAD) {
            bytes = 0;
            if to
                .blocking_send(Ok(Load::Events(std::mem::take(&mut load))))
                .is_err()
            {
                return Ok(Sent::NotWanted);
            }
        }
        match piece {
            None => break,
            Some(body::Piece::Part(header)) => {
                // The shapes of parts that are not wanted count for later parts, too.
                let is_wanted = next.filter(|(part, _)| part.number == number);
                number += 1;
                cut = is_wanted.map(|(_, cut)| *cut);
                if !header.shapes.is_empty()
                    && to.blocking_send(Ok(Load::Shapes(header.shapes))).is_err()
                {
                    return Ok(Sent::NotWanted);
                }
                if cut.is_some() {
                    next = wanted.next();
                    if to.blocking_send(Ok(Load::Later(header.later))).is_err() {
                        return Ok(Sent::NotWanted);
                    }
                } else if next.is_none() {
                    return Ok(Sent::All);
                }
            }
            Some(body::Piece::Heirs(_)) => {}
            Some(body::Piece::Event(tuple)) => {
                let Some(cut) = cut else { continue };
                let txid = tuple.int8(column::TXID);
                if cut.takes(txid.map_err(|bad| damaged(name, &bad.to_string()))?) {
                    bytes += tuple.len();
                    load.push(tuple);
                }
            }
        }
    }
    match next {
        None => Ok(Sent::All),
        Some(_) => Err(damaged(name, "it has fewer parts than before")),
    }
}
