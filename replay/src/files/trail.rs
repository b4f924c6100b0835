//! The frames of an archive that follow a position, read segment by segment. Each segment is checked before anything of
//! it is used: that it follows from the segment before, and the hash of its body.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
};

use sql::{
    queue::lineage::{Lineage, NodeId, NodePath},
    subscriber::position::Position,
};

use super::{
    border::{self, Border},
    unreadable::{damaged, of_body, unreadable},
};
use crate::{
    archive::{
        chain::{self, Follow, Listing, Stored, Unreadable},
        identity::Identity,
        store::Store,
        unpacked,
    },
    frames::{
        body::{self, BadBody, Pieces},
        cut::{BadSpan, Cut, Span},
        frame::{Header, SequenceEntry, TickEntry},
        place::Place,
        segment::{Hole, Name},
    },
    trouble::Trouble,
};

/// A frame whose parts are all there, or what is left of it behind a tick.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Where it begins and ends, and which of the parts' events it has.
    pub span: Span,
    /// Where its events are.
    pub parts: Vec<PartAt>,
    /// How many events the parts have.
    pub events: u64,
    /// The provider's sequences that have changed, read after the frame's last tick.
    pub sequences: Vec<SequenceEntry>,
    /// Where the events come from; the origins are those of the frame's last tick.
    pub lineage: Lineage,
}

/// The place of a part of a frame.
#[derive(Clone, Debug)]
pub(crate) struct PartAt {
    /// The segment.
    pub segment: Arc<Segment>,
    /// The part's number in the segment, from 0 on.
    pub number: usize,
}

/// A piece of a batch: the events of one frame that a cut takes.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) parts: Vec<PartAt>,
    pub(super) cut: Cut,
}

/// A segment that follows from the one before and whose body is what was written.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its name.
    pub name: Name,
    /// Its line.
    pub stored: Stored,
}

/// What a look at the next segment has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// It was read.
    Segment,
    /// The archive ends here, as far as it is written.
    End,
    /// It is missing, and later ones are there: files come in any order, and are read in that of their numbers.
    Missing(u64),
    /// Events are missing from here on: nothing behind it can be read after what is before it.
    Hole(Hole),
    /// Another node has become the provider: from here on the archive has its queue. Who goes on opens the archive at
    /// the place behind the border.
    Hop(Border),
    /// Another node has become the provider at an earlier tick than the last one that was read: what follows is of
    /// another history.
    Fork(i64),
}

/// Why an archive does not have what follows a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotThere {
    /// It has nothing of this queue, or begins later.
    #[error("the archive begins after tick {0}")]
    Before(i64),
    /// It does not reach so far.
    #[error("the archive ends before tick {0}")]
    Beyond(i64),
    /// It has another tick of that number, or none in a piece of the queue that would have it.
    #[error("tick {0} of the archive is not the tick that the subscriber applied")]
    OtherTick(i64),
    /// The tick is among events that are missing.
    #[error("tick {0} is in a hole of the archive")]
    InHole(i64),
    /// The tick is one that no provider's history has that followed.
    #[error("tick {0} is on a branch: the provider after it began at tick {1} of that queue")]
    OnBranch(i64, i64),
}

/// The frames after a position.
#[derive(Debug)]
pub(crate) struct Trail {
    store: Store,
    follow: Follow,
    /// The segment that comes next.
    next: Name,
    /// Where the segments that were read end.
    at: Place,
    /// Where the queue is left for that of the next provider; none: it is not, or the branch is read to its end.
    leaves: Option<Border>,
    /// The branch is read to its end.
    stays: bool,
    /// A frame of which the last part has not come.
    open: Option<Open>,
    /// The frames that were read and are not taken yet.
    pub(super) whole: VecDeque<Frame>,
    /// The sequences of the frames that were passed on the way to the position, by schema and name.
    pub(super) passed: BTreeMap<(String, String), SequenceEntry>,
}

#[derive(Debug)]
struct Open {
    frame: Frame,
    to: Place,
    is_last: bool,
}

impl Trail {
    /// Finds what follows a position.
    ///
    /// # Errors
    /// The directory cannot be read, or an object is damaged. That the archive has not got the position is an answer.
    pub(crate) fn after(
        store: Store,
        identity: &Identity,
        position: Position,
    ) -> Result<Result<Trail, NotThere>, Trouble> {
        Trail::find(store, identity, position, false)
    }

    /// Finds what follows a position in its own queue, also where another history has gone on from an earlier tick.
    ///
    /// # Errors
    /// Those of [`Trail::after`].
    pub(crate) fn on_any_branch(
        store: Store,
        identity: &Identity,
        position: Position,
    ) -> Result<Result<Trail, NotThere>, Trouble> {
        Trail::find(store, identity, position, true)
    }

    fn find(
        store: Store,
        identity: &Identity,
        position: Position,
        stays: bool,
    ) -> Result<Result<Trail, NotThere>, Trouble> {
        let (place, tick) = (Place::from(position), position.tick.id.0);
        let listing = Listing::read(&store).map_err(unreadable)?;
        let behind = chain::nothing_behind(&store, &listing).map_err(unreadable)?;
        let behind = behind.filter(|(_, end)| end.0 == place.0 && end.1.0 <= tick);
        let begins = |name: &&Name| name.epoch == position.epoch.0 && name.tick <= tick;
        let latest = listing.segments.iter().filter(begins);
        let first = latest.max_by_key(|name| (name.tick, std::cmp::Reverse(name.seq)));
        let first = match (behind, first) {
            // Nothing has come yet behind a border. The same queue may have older segments.
            (Some((last, end)), _) if end == place => Name::of(last + 1, place),
            (Some((_, end)), _) if end.1.0 < tick => return Ok(Err(NotThere::Beyond(tick))),
            (Some(_), _) => return Ok(Err(NotThere::OtherTick(tick))),
            (None, Some(first)) => *first,
            (None, None) if identity.begin == place => Name::of(identity.first, place),
            (None, None) => return Ok(Err(NotThere::Before(tick))),
        };
        let leaves = match stays {
            true => None,
            false => border::leaves(&store, &listing, first)?,
        };
        if let Some(border) = &leaves
            && border.hop.from.1.0 < tick
        {
            return Ok(Err(NotThere::OnBranch(tick, border.hop.from.1.0)));
        }
        // A frame that follows the tick may have begun at the end of the segment before.
        let before = listing.segments.iter();
        let mut before = before.filter(|name| name.seq + 1 == first.seq);
        let before = before.next().filter(|name| name.epoch == first.epoch);
        let has_frames =
            |name: &&Name| chain::line(&store, **name).is_ok_and(|stored| stored.line.has_frames());
        let start = before.filter(has_frames).copied();
        let mut trail = Trail {
            follow: Follow::at(identity, start.unwrap_or(first).seq),
            next: start.unwrap_or(first),
            store,
            at: place,
            leaves,
            stays,
            open: None,
            whole: VecDeque::new(),
            passed: BTreeMap::new(),
        };
        if start.is_none() && first.tick == tick && trail.begins_at(place)? {
            return Ok(Ok(trail));
        }
        let found = trail.advance_to(place)?;
        Ok(found.map(|()| trail))
    }

    /// The directory of the archive.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Reads until the position is passed, and leaves the frames that follow it.
    fn advance_to(&mut self, place: Place) -> Result<Result<(), NotThere>, Trouble> {
        let tick = place.1.0;
        loop {
            match self.read_on()? {
                Ahead::Segment => {}
                Ahead::End | Ahead::Missing(_) => return Ok(Err(NotThere::Beyond(tick))),
                Ahead::Hole(_) => return Ok(Err(NotThere::InHole(tick))),
                // The queue ends here, and with it the ticks that it has.
                Ahead::Hop(_) | Ahead::Fork(_) => return Ok(Err(NotThere::Beyond(tick))),
            }
            while let Some(frame) = self.whole.front_mut() {
                let to = frame.span.to();
                if to.1.0 < tick {
                    self.pass();
                    continue;
                }
                let ticks = frame.span.ticks();
                let Some(index) = ticks.iter().position(|one| one.0.0 >= tick) else {
                    return Ok(Err(NotThere::OtherTick(tick)));
                };
                if (ticks[index].0, ticks[index].1) != (place.1, place.2) {
                    return Ok(Err(NotThere::OtherTick(tick)));
                }
                if to == place {
                    self.pass();
                } else {
                    let cut = frame.span.cut_off(index + 1);
                    cut.map_err(|bad| damaged(self.next, &bad.to_string()))?;
                    // The first part of the frame was applied with its sequences.
                    let sequences = frame.sequences.clone();
                    self.pass_sequences(sequences);
                }
                return Ok(Ok(()));
            }
            if self.at.1.0 > tick {
                return Ok(Err(NotThere::OtherTick(tick)));
            }
        }
    }

    /// Drops the first frame, which ends at or before the position.
    fn pass(&mut self) {
        if let Some(frame) = self.whole.pop_front() {
            self.pass_sequences(frame.sequences);
        }
    }

    fn pass_sequences(&mut self, sequences: Vec<SequenceEntry>) {
        for one in sequences {
            self.passed.insert((one.0.clone(), one.1.clone()), one);
        }
    }

    /// Whether the next segment begins after the position, tag and all.
    fn begins_at(&self, place: Place) -> Result<bool, Trouble> {
        match chain::line(&self.store, self.next) {
            Ok(stored) => Ok(stored.line.from == place),
            // The archive begins here, and has no segment yet.
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(Unreadable::Io(error)) => Err(unreadable(error)),
            Err(Unreadable::Line(bad)) => Err(damaged(self.next, &bad.to_string())),
        }
    }

    /// The border where the queue is left, if that is at this place.
    pub(super) fn border_at(&self, place: Place) -> Option<&Border> {
        self.leaves
            .as_ref()
            .filter(|border| border.hop.from == place)
    }

    /// How many of these ticks come before the place where the queue is left, or are it.
    pub(super) fn before_border(&self, ticks: &[TickEntry]) -> usize {
        match &self.leaves {
            None => ticks.len(),
            Some(border) => {
                let last = border.hop.from.1.0;
                ticks.iter().take_while(|tick| tick.0.0 <= last).count()
            }
        }
    }

    /// Whether a segment behind a border begins in a queue.
    pub(super) fn comes_to(&self, border: &Border, epoch: i64) -> Result<bool, Trouble> {
        let listing = Listing::read(&self.store).map_err(unreadable)?;
        let later = |name: &Name| name.seq > border.name.seq && name.epoch == epoch;
        Ok(border.hop.to.0.0 == epoch || listing.segments.iter().any(later))
    }

    /// Reads the next segment.
    ///
    /// # Errors
    /// The directory cannot be read, or an object is damaged: nothing of it is given.
    pub(crate) fn read_on(&mut self) -> Result<Ahead, Trouble> {
        let name = self.next;
        let read = chain::line(&self.store, name);
        let read = match read {
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return self.behind_the_end();
            }
            Err(Unreadable::Io(error)) => return Err(unreadable(error)),
            read => read,
        };
        let mut follow = self.follow.clone();
        if let Some(fault) = follow.next(name, &read).into_iter().next() {
            return Err(damaged(name, &fault));
        }
        let Ok(stored) = read else {
            return Err(Trouble::Stale);
        };
        if let Some(hole) = &stored.line.hole {
            return Ok(Ahead::Hole(hole.clone()));
        }
        if let Some(border) = border::border(name, &stored) {
            return Ok(match (self.stays, border.hop.from == stored.line.from) {
                (true, _) => Ahead::End,
                (false, true) => Ahead::Hop(border),
                (false, false) => Ahead::Fork(border.hop.from.1.0),
            });
        }
        let segment = Arc::new(Segment { name, stored });
        let known = self.whole.len();
        let parts = unpacked::checked(&self.store, name, &segment.stored, |body| {
            parts(&mut Pieces::new(body))
        });
        for (number, (header, events)) in parts
            .map_err(|bad| of_body(name, bad))?
            .into_iter()
            .enumerate()
        {
            let segment = Arc::clone(&segment);
            let part = PartAt { segment, number };
            if let Err(fault) = self.part(header, part, events) {
                self.whole.truncate(known);
                self.open = None;
                return Err(damaged(name, &fault));
            }
        }
        self.follow = follow;
        self.at = segment.stored.line.to;
        self.next = Name::of(name.seq + 1, self.at);
        Ok(Ahead::Segment)
    }

    /// Adds a part to the frame that it belongs to. A frame whose last part does not come before another frame begins
    /// is as if it were not there.
    fn part(&mut self, header: Header, part: PartAt, events: u64) -> Result<(), String> {
        if header.part == 0 {
            let span = Span::of(&header).map_err(|bad: BadSpan| bad.to_string())?;
            let nodes = header.path.iter().map(|node| NodeId(node.0));
            self.open = Some(Open {
                to: header.to,
                is_last: header.last,
                frame: Frame {
                    span,
                    parts: vec![part],
                    events,
                    sequences: header.sequences,
                    lineage: Lineage {
                        origins: header.origins,
                        path: NodePath(nodes.collect()),
                    },
                },
            });
        } else {
            let open = self.open.as_mut().filter(|open| {
                open.to == header.to
                    && open.frame.span.from == header.from
                    && usize::try_from(header.part) == Ok(open.frame.parts.len())
            });
            // A part whose frame began before the first segment that was read is of no use, and of no harm: that frame
            // ends at or before the position.
            let Some(open) = open else {
                return Ok(());
            };
            open.frame.parts.push(part);
            open.frame.events += events;
            open.is_last = header.last;
        }
        if let Some(open) = self.open.take_if(|open| open.is_last) {
            self.whole.push_back(open.frame);
        }
        Ok(())
    }

    /// What there is where the next segment is missing.
    fn behind_the_end(&mut self) -> Result<Ahead, Trouble> {
        let newest = Listing::newest(&self.store).map_err(unreadable)?;
        let Some(newest) = newest.filter(|newest| newest.seq >= self.next.seq) else {
            return Ok(Ahead::End);
        };
        if self.store.has(&self.next.path()).map_err(unreadable)? {
            // It was made a moment ago.
            return self.read_on();
        }
        if newest.seq > self.next.seq {
            return Ok(Ahead::Missing(self.next.seq));
        }
        let why = format!(
            "in its place {} follows from the segment before it",
            self.next
        );
        Err(damaged(newest, &why))
    }
}

/// The parts of a body, each with its number of events.
fn parts<R: io::Read>(pieces: &mut Pieces<R>) -> Result<Vec<(Header, u64)>, BadBody> {
    let mut parts: Vec<(Header, u64)> = Vec::new();
    while let Some(piece) = pieces.read()? {
        match (piece, parts.last_mut()) {
            (body::Piece::Part(header), _) => parts.push((header, 0)),
            (body::Piece::Event(_), Some((_, events))) => *events += 1,
            (body::Piece::Event(_), None) | (body::Piece::Heirs(_), _) => {}
        }
    }
    Ok(parts)
}
