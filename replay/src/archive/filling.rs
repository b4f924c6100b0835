//! A segment that is being filled, in memory: its records are compressed as they come.

use std::{
    collections::HashSet,
    io::{self, Write as _},
};

use serde_json::value::RawValue;
use sql::queue::lineage::Lineage;
use zstd::stream::write::Encoder;

use super::seal::Recipients;
use crate::frames::{
    frame::{Header, Heirs, SequenceEntry, TickEntry},
    place::{Number, Place, Time},
    record::{self, Kind},
    segment::{FORMAT, Hole, Hop, Line, sha},
};

/// Level 3 gains 2 % for half as much CPU again.
const LEVEL: i32 = 1;

/// Events go into records of about this many bytes, so that a reader needs no more memory for one.
const PIECE: usize = 256 << 10;

/// What all parts of a frame have in common.
#[derive(Clone, Debug)]
pub(super) struct FrameSpan {
    /// Where the frame begins.
    pub from: Place,
    /// Where it ends.
    pub to: Place,
    /// Its ticks.
    pub ticks: Vec<TickEntry>,
    /// The nodes that its events may come from, and what its last tick contains of other nodes' queues.
    pub lineage: Lineage,
}

impl FrameSpan {
    fn path(&self) -> Vec<Number> {
        let nodes = self.lineage.path.0.iter();
        nodes.map(|node| Number(node.0)).collect()
    }
}

/// The events of a part of a frame, until the part is whole.
#[derive(Debug, Default)]
pub(super) struct PartEvents {
    /// The rows, in pieces.
    pieces: Vec<Vec<u8>>,
    /// The number of events.
    events: u64,
    bytes: usize,
    /// The shapes that the events name.
    shapes: Vec<(i64, Box<RawValue>)>,
    named: HashSet<i64>,
    later: Vec<(Number, String)>,
}

impl PartEvents {
    /// Adds an event: its row, and what the provider knows now of it.
    pub(super) fn add(&mut self, row: &[u8], later: Option<(i64, &str)>) {
        self.events += 1;
        self.bytes += row.len();
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.extend_from_slice(row),
            Some(_) | None => self.pieces.push(row.to_vec()),
        }
        let later = later.map(|(event, text)| (Number(event), text.to_owned()));
        self.later.extend(later);
    }

    /// Notes a shape that an event names.
    pub(super) fn name(&mut self, number: i64, shape: &RawValue) {
        if self.named.insert(number) {
            self.shapes.push((number, shape.to_owned()));
        }
    }

    /// How many bytes the events take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The segment.
pub(super) struct Filling {
    from: Place,
    from_time: Option<Time>,
    /// Where the last whole frame ends.
    to: Place,
    to_time: Option<Time>,
    node: Option<i64>,
    frames: u64,
    parts: u64,
    events: u64,
    raw_bytes: u64,
    shapes: HashSet<i64>,
    has_sequences: bool,
    body: Encoder<'static, Vec<u8>>,
}

/// Who writes segments, and to whom they are sealed.
#[derive(Clone, Debug)]
pub(super) struct Author {
    /// The archive's identity.
    pub archive: String,
    /// The identity of this process among those that may write.
    pub writer: String,
    /// To whom.
    pub recipients: Recipients,
}

/// A segment's line and its body, but for what the chain says.
pub(super) struct Sealed {
    /// The line; `seq` and `prev` are the chain's to say.
    pub line: Line,
    /// The body as it is stored.
    pub body: Vec<u8>,
}

impl Filling {
    /// An empty segment after a position.
    pub(super) fn new(from: Place, from_time: Option<Time>) -> io::Result<Filling> {
        Ok(Filling {
            from,
            from_time,
            to: from,
            to_time: from_time,
            node: None,
            frames: 0,
            parts: 0,
            events: 0,
            raw_bytes: 0,
            shapes: HashSet::new(),
            has_sequences: false,
            body: Encoder::new(Vec::new(), LEVEL)?,
        })
    }

    /// Where the last whole frame ends.
    pub(super) fn to(&self) -> Place {
        self.to
    }

    /// The time of that.
    pub(super) fn to_time(&self) -> Option<Time> {
        self.to_time
    }

    /// How many events are in it.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.parts == 0
    }

    /// Whether a whole frame is in it.
    pub(super) fn has_whole(&self) -> bool {
        self.frames > 0
    }

    /// Compressed bytes so far.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.body.get_ref().len() as u64
    }

    /// Says whose queue it is.
    pub(super) fn is_of(&mut self, node: Option<i64>) {
        self.node = node;
    }

    /// Whether the next frame has to give all sequences.
    pub(super) fn lacks_sequences(&self) -> bool {
        !self.has_sequences
    }

    /// Adds a part of a frame. `sequences` are those of part 0.
    pub(super) fn put(
        &mut self,
        span: &FrameSpan,
        part: u32,
        last: bool,
        sequences: Vec<SequenceEntry>,
        events: PartEvents,
    ) -> io::Result<()> {
        let new = events.shapes.into_iter();
        let shapes = new.filter_map(|(number, text)| self.shapes.insert(number).then_some(text));
        let header = Header {
            from: span.from,
            to: span.to,
            part,
            last,
            ticks: match part {
                0 => span.ticks.clone(),
                _ => Vec::new(),
            },
            sequences,
            shapes: shapes.collect(),
            later: events.later,
            path: match part {
                0 => span.path(),
                _ => Vec::new(),
            },
            origins: span.lineage.origins.clone().filter(|_| part == 0),
        };
        let header = serde_json::to_vec(&header).map_err(io::Error::other)?;
        self.raw_bytes += record::write(&mut self.body, Kind::Frame, &header)?;
        for piece in &events.pieces {
            self.raw_bytes += record::write(&mut self.body, Kind::Events, piece)?;
        }
        // Without this what is compressed shows only now and then, and a segment would outgrow its size.
        self.body.flush()?;
        self.has_sequences |= part == 0;
        self.parts += 1;
        self.events += events.events;
        if last {
            self.frames += 1;
            self.to = span.to;
            self.to_time = span.ticks.last().map(|tick| tick.2);
        }
        Ok(())
    }

    /// Ends the segment.
    pub(super) fn seal(self, author: &Author) -> io::Result<Sealed> {
        let body = author.recipients.sealed(self.body.finish()?)?;
        Ok(Sealed {
            line: Line {
                trunkline: FORMAT.into(),
                archive: author.archive.clone(),
                seq: 0,
                prev: String::new(),
                from: self.from,
                to: self.to,
                from_time: self.from_time,
                to_time: self.to_time,
                frames: self.frames,
                parts: self.parts,
                events: self.events,
                raw_bytes: self.raw_bytes,
                body_bytes: body.len() as u64,
                body_sha: sha(&body),
                sealed: author.recipients.keys(),
                writer: author.writer.clone(),
                node: self.node.map(|node| node.to_string()),
                hole: None,
                hop: None,
            },
            body,
        })
    }

    /// A segment that says that the archive goes on in another queue. `hole`: why events are missing in between.
    pub(super) fn hop(
        from: Place,
        (to, to_time): (Place, Option<Time>),
        hop: Hop,
        (heirs, hole): (&Heirs, Option<&str>),
        author: &Author,
    ) -> io::Result<Sealed> {
        let mut filling = Filling::new(from, None)?;
        let heirs = serde_json::to_vec(heirs).map_err(io::Error::other)?;
        filling.raw_bytes += record::write(&mut filling.body, Kind::Heirs, &heirs)?;
        let mut sealed = filling.seal(author)?;
        (sealed.line.to, sealed.line.to_time) = (to, to_time);
        sealed.line.hole = hole.map(|why| Hole {
            after: from,
            why: why.into(),
        });
        sealed.line.hop = Some(hop);
        Ok(sealed)
    }

    /// A segment that says that events are missing, and nothing else.
    pub(super) fn hole(from: Place, to: Place, why: &str, author: &Author) -> io::Result<Sealed> {
        let mut sealed = Filling::new(from, None)?.seal(author)?;
        sealed.line.to = to;
        sealed.line.hole = Some(Hole {
            after: from,
            why: why.into(),
        });
        Ok(sealed)
    }
}
