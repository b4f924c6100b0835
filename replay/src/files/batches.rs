//! What follows a position in an archive, as batches: several frames merged into one, or a frame cut at a tick.

use std::collections::BTreeMap;

use sql::{
    name::TableName,
    queue::{
        lineage::Lineage,
        tick::{Epoch, TickId},
    },
    subscriber::position::Position,
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use super::{
    border::{self, Border},
    stream::{FileEvents, Wanted},
    trail::{Ahead, Frame, NotThere, Piece, Trail},
    unreadable::{damaged, unreadable},
};
use crate::{
    archive::{
        identity::{Identity, NoArchive},
        store::Store,
    },
    batch::Header,
    change::Decoder,
    frames::{
        cut::BadSpan,
        frame::{Heirs, SequenceEntry, TickEntry},
        place::{Place, Time},
    },
    queue::events::Events,
    trouble::Trouble,
};

/// The most frames of one batch: each takes some memory until the batch is read.
const FRAMES_AT_ONCE: usize = 10_000;

/// A place in the history that an archive is read up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpTo {
    /// Everything that is there.
    End,
    /// The last tick of a queue whose number is not above this one; all of the queues before it.
    Tick(Epoch, TickId),
    /// The last tick before the first one that was made later, by the provider's clock.
    Time(Time),
}

impl UpTo {
    fn takes(&self, epoch: Epoch, tick: &TickEntry) -> bool {
        match self {
            UpTo::End => true,
            UpTo::Tick(of, last) => *of != epoch || tick.0.0 <= last.0,
            UpTo::Time(last) => tick.2 <= *last,
        }
    }

    /// Whether this is the tick that was asked for.
    pub(crate) fn is(&self, at: Position) -> bool {
        *self == UpTo::Tick(at.epoch, at.tick.id)
    }
}

/// A batch in the files of an archive.
#[derive(Debug)]
pub(crate) struct FileBatch {
    /// The position that it begins after.
    pub from: Position,
    /// The position that it ends at.
    pub to: Position,
    /// When the last tick was made, by the provider's clock.
    pub to_time: Time,
    /// Where its events come from, and what its last tick contains of other nodes' queues. The origins of a tick within
    /// a frame are not known.
    pub lineage: Lineage,
    /// The provider's sequences that have changed, each at least as far as at the last tick.
    pub sequences: Vec<SequenceEntry>,
    /// At most so many events.
    pub events: u64,
    /// Where its events are.
    pub(super) pieces: Vec<Piece>,
}

/// What follows.
#[derive(Debug)]
pub(crate) enum Next {
    /// A batch, which is the next one from here on.
    Batch(FileBatch),
    /// Nothing up to the place that was asked for; the tick behind it.
    Reached(TickEntry),
    /// Nothing that can be read: the archive ends, or something is missing. At the tick that was asked for it is the
    /// end, whatever is ahead.
    Nothing(Ahead),
}

/// An archive, read from a position on.
#[derive(Debug)]
pub(crate) struct Files {
    queue: String,
    trail: Trail,
    decoder: Decoder,
    at: Position,
}

impl Files {
    /// Opens an archive of a queue, whichever job writes it, to read what follows a position. That the
    /// archive has not got the position is an answer, and not an error.
    ///
    /// # Errors
    /// The directory is not an archive of this queue, or cannot be read, or an object is damaged.
    pub(crate) fn open(
        store: Store,
        queue: &str,
        position: Position,
    ) -> Result<Result<Files, NotThere>, Trouble> {
        let found = blocking(|| {
            let identity = Identity::of_queue(&store, queue).map_err(no_archive)?;
            Trail::after(store, &identity, position)
        })?;
        Ok(found.map(|trail| Files {
            queue: queue.to_owned(),
            trail,
            decoder: Decoder::default(),
            at: position,
        }))
    }

    /// Opens an archive at a position, to read its queue to the end, also where another history has gone on from an
    /// earlier tick.
    ///
    /// # Errors
    /// Those of [`Files::open`].
    pub(crate) fn open_branch(
        store: Store,
        queue: &str,
        position: Position,
    ) -> Result<Result<Files, NotThere>, Trouble> {
        let found = blocking(|| {
            let identity = Identity::of_queue(&store, queue).map_err(no_archive)?;
            Trail::on_any_branch(store, &identity, position)
        })?;
        Ok(found.map(|trail| Files {
            queue: queue.to_owned(),
            trail,
            decoder: Decoder::default(),
            at: position,
        }))
    }

    /// The same archive behind a border.
    ///
    /// # Errors
    /// Those of [`Files::open`].
    pub(crate) fn behind(&self, border: &Border) -> Result<Result<Files, NotThere>, Trouble> {
        let store = self.trail.store().clone();
        Files::open(store, &self.queue, border.hop.to.into())
    }

    /// Whether what was asked for lies behind a border.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn goes_over(&self, border: &Border, up_to: UpTo) -> Result<bool, Trouble> {
        match up_to {
            UpTo::End => Ok(true),
            UpTo::Time(time) => Ok(border.to_time.is_some_and(|first| first <= time)),
            UpTo::Tick(epoch, _) => blocking(|| self.trail.comes_to(border, epoch.0)),
        }
    }

    /// The tables of the queue behind a border, by their oids before it.
    ///
    /// # Errors
    /// The directory cannot be read, or the segment is damaged.
    pub(crate) fn heirs(&self, border: &Border) -> Result<Heirs, Trouble> {
        blocking(|| border::heirs(self.trail.store(), border))
    }

    /// The position that is read on from.
    pub(crate) fn at(&self) -> Position {
        self.at
    }

    /// The provider's sequences as they were at the position, by schema and name, as far as the segment of the position
    /// gives them.
    pub(crate) fn sequences(&self) -> &BTreeMap<(String, String), SequenceEntry> {
        &self.trail.passed
    }

    /// The tables that the frames so far have named, by their oids on the provider.
    pub(crate) fn tables(&self) -> BTreeMap<u32, TableName> {
        self.decoder.tables()
    }

    /// The next batch: of one tick with `max_events` 0, else of as many frames as come before the one that goes beyond
    /// that number of events, up to a place. Whoever does not apply a batch must open the archive again.
    ///
    /// # Errors
    /// The directory cannot be read, or an object is damaged.
    pub(crate) fn next(&mut self, max_events: i64, up_to: UpTo) -> Result<Next, Trouble> {
        blocking(|| self.find(u64::try_from(max_events).unwrap_or(0), up_to))
    }

    fn find(&mut self, max_events: u64, up_to: UpTo) -> Result<Next, Trouble> {
        let mut batch: Option<FileBatch> = None;
        loop {
            let is_full = |batch: &FileBatch| {
                batch.events >= max_events || batch.pieces.len() >= FRAMES_AT_ONCE
            };
            if let Some(batch) = batch.take_if(|batch| is_full(batch)) {
                return Ok(self.goes_on_behind(batch));
            }
            let here = batch.as_ref().map_or(self.at, |batch| batch.to);
            if let Some(border) = self.trail.border_at(Place::from(here)) {
                let border = border.clone();
                return Ok(match batch {
                    Some(batch) => self.goes_on_behind(batch),
                    None if up_to.is(here) => Next::Nothing(Ahead::End),
                    None => Next::Nothing(Ahead::Hop(border)),
                });
            }
            let up_to_border = self.trail.whole.front();
            let up_to_border =
                up_to_border.map_or(0, |frame| self.trail.before_border(frame.span.ticks()));
            let Some(frame) = self.trail.whole.front_mut() else {
                match (self.trail.read_on(), batch.take()) {
                    (Ok(Ahead::Segment), so_far) => batch = so_far,
                    // What is not well is met again when this batch is applied.
                    (Ok(_) | Err(_), Some(batch)) => return Ok(self.goes_on_behind(batch)),
                    (Ok(_) | Err(_), None) if up_to.is(self.at) => {
                        return Ok(Next::Nothing(Ahead::End));
                    }
                    (Ok(ahead), None) => return Ok(Next::Nothing(ahead)),
                    (Err(trouble), None) => return Err(trouble),
                }
                continue;
            };
            let ticks = frame.span.ticks();
            let epoch = self.at.epoch;
            let wanted = ticks
                .iter()
                .take_while(|tick| up_to.takes(epoch, tick))
                .count();
            let is_up_to_border = wanted >= up_to_border && up_to_border < ticks.len();
            let wanted = wanted.min(up_to_border);
            let count = if max_events == 0 {
                wanted.min(1)
            } else {
                wanted
            };
            if is_up_to_border && count == up_to_border && count > 0 {
                // The rest of the frame is of a branch.
                add(&mut batch, front(frame, count)?)?;
                continue;
            }
            if let Some(behind) = ticks.get(count).cloned() {
                if count > 0 {
                    add(&mut batch, front(frame, count)?)?;
                }
                return Ok(match batch {
                    Some(batch) => self.goes_on_behind(batch),
                    None => Next::Reached(behind),
                });
            }
            if let Some(whole) = self.trail.whole.pop_front() {
                add(&mut batch, whole)?;
            }
        }
    }

    fn goes_on_behind(&mut self, batch: FileBatch) -> Next {
        self.at = batch.to;
        Next::Batch(batch)
    }

    /// Streams the events of a batch of this archive that are wanted.
    pub(crate) fn events(&mut self, batch: &FileBatch, wanted: Wanted) -> Events<'_> {
        let events = FileEvents::read(self.trail.store(), batch.pieces.clone(), wanted);
        Events::of_files(events, &mut self.decoder)
    }
}

impl FileBatch {
    /// The batch as a reader announces it.
    pub(crate) fn header(&self, may_be_merged: bool) -> Header {
        Header {
            from: self.from,
            to: self.to,
            to_time: self.to_time.system(),
            lineage: self.lineage.clone(),
            may_be_merged,
        }
    }
}

/// Reads files, beside which the daemon's other tasks go on; a command has none.
fn blocking<T>(read: impl FnOnce() -> T) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        return block_in_place(read);
    }
    read()
}

/// Cuts the first ticks off a frame. Of its sequences and its nodes both pieces have all; what other nodes' ticks the
/// last of these ticks contains is not known.
fn front(frame: &mut Frame, ticks: usize) -> Result<Frame, Trouble> {
    let cut = frame.span.cut_off(ticks);
    let span = cut.map_err(|bad: BadSpan| match frame.parts.first() {
        Some(part) => damaged(part.segment.name, &bad.to_string()),
        None => Trouble::Stale,
    })?;
    Ok(Frame {
        span: span.ok_or(Trouble::Stale)?,
        parts: frame.parts.clone(),
        events: frame.events,
        sequences: frame.sequences.clone(),
        lineage: Lineage {
            origins: None,
            path: frame.lineage.path.clone(),
        },
    })
}

/// Adds a frame, which begins where the batch so far ends.
fn add(batch: &mut Option<FileBatch>, frame: Frame) -> Result<(), Trouble> {
    let (from, to) = (
        Position::from(frame.span.from),
        Position::from(frame.span.to()),
    );
    let to_time = frame.span.to_time().ok_or(Trouble::Stale)?;
    let piece = Piece {
        parts: frame.parts,
        cut: frame.span.cut,
    };
    let Some(batch) = batch else {
        *batch = Some(FileBatch {
            from,
            to,
            to_time,
            lineage: frame.lineage,
            sequences: frame.sequences,
            events: frame.events,
            pieces: vec![piece],
        });
        return Ok(());
    };
    if batch.to != from {
        return Err(Trouble::Stale);
    }
    (batch.to, batch.to_time) = (to, to_time);
    batch.events += frame.events;
    batch.sequences.extend(frame.sequences);
    batch.pieces.push(piece);
    batch.lineage.origins = frame.lineage.origins;
    for node in frame.lineage.path.0 {
        if !batch.lineage.path.0.contains(&node) {
            batch.lineage.path.0.push(node);
        }
    }
    Ok(())
}

/// The directory is not an archive of this queue.
fn no_archive(error: NoArchive) -> Trouble {
    match error {
        NoArchive::Io(error) => unreadable(error),
        other @ (NoArchive::Missing(_)
        | NoArchive::Unreadable(_)
        | NoArchive::Format(_)
        | NoArchive::OfAnother { .. }
        | NoArchive::Overwrites(_)) => Trouble::Operator {
            doing: "could not read the archive".into(),
            advice: "mount the directory, or put the config right".into(),
            source: anyhow::Error::new(other),
        },
    }
}
