//! The segments of an archive: their names, their lines, and whether each follows from the one before. Reads names and
//! first lines only.

use std::io;

use super::{begin, identity::Identity, store::Store};
use crate::frames::{
    place::Place,
    segment::{BadLine, Line, Name},
};

/// The directory of the segments.
const FRAMES: &str = "frames";

/// The files of an archive's segments.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The segments, by number.
    pub segments: Vec<Name>,
    /// Paths of what is no segment, and does not belong there.
    pub strangers: Vec<String>,
}

impl Listing {
    /// Lists all segments but those that have expired, of which some may still be there.
    pub(crate) fn read(store: &Store) -> io::Result<Listing> {
        let mut listing = Listing::all(store)?;
        // Asked after the listing, so that none is missed that goes meanwhile.
        let first = begin::first(store)?;
        listing.segments.retain(|name| name.seq >= first);
        Ok(listing)
    }

    fn all(store: &Store) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for directory in store.list(FRAMES)? {
            listing.add(store, &directory)?;
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }

    fn add(&mut self, store: &Store, directory: &str) -> io::Result<()> {
        let path = format!("{FRAMES}/{directory}");
        let files = match store.list(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.strangers.push(path);
                return Ok(());
            }
            files => files?,
        };
        for file in files {
            match Name::parse(&file).filter(|name| name.directory() == directory) {
                Some(name) => self.segments.push(name),
                None => self.strangers.push(format!("{path}/{file}")),
            }
        }
        Ok(())
    }

    /// The last segment that begins at a place or before it, in the same queue.
    pub(crate) fn holding(&self, at: Place) -> Option<&Name> {
        let mut newest = self.segments.iter().rev();
        newest.find(|name| name.epoch == at.0.0 && name.tick <= at.1.0)
    }

    /// The newest segment's name, and the directory that it lies in; None: there is no segment.
    pub(crate) fn newest(store: &Store) -> io::Result<Option<Name>> {
        let mut directories = store.list(FRAMES)?;
        directories.sort_by_key(|name| (name.len(), name.clone()));
        while let Some(directory) = directories.pop() {
            let mut listing = Listing::default();
            listing.add(store, &directory)?;
            if let Some(newest) = listing.segments.into_iter().max() {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }
}

/// The newest segment that has no frames, as a border or a hole: its number, and the place behind it, after which
/// nothing has come yet. None: the newest one has frames, or cannot be read, which whoever comes there is told.
pub(crate) fn nothing_behind(store: &Store, listing: &Listing) -> io::Result<Option<(u64, Place)>> {
    let Some(newest) = listing.segments.last() else {
        return Ok(None);
    };
    match line(store, *newest) {
        Ok(stored) if stored.line.has_frames() => Ok(None),
        Ok(stored) => Ok(Some((newest.seq, stored.line.to))),
        Err(Unreadable::Io(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(Unreadable::Io(_) | Unreadable::Line(_)) => Ok(None),
    }
}

/// The segments that have expired and are still there, from the oldest on.
pub(crate) fn expired(store: &Store) -> io::Result<Vec<Name>> {
    let mut listing = Listing::all(store)?;
    let first = begin::first(store)?;
    listing.segments.retain(|name| name.seq < first);
    Ok(listing.segments)
}

/// Removes directories that no segment is left in, but the newest.
pub(crate) fn remove_empty(store: &Store) -> io::Result<()> {
    let mut directories = store.list(FRAMES)?;
    directories.sort_by_key(|name| (name.len(), name.clone()));
    directories.pop();
    for directory in directories {
        store.remove_empty(&format!("{FRAMES}/{directory}"))?;
    }
    Ok(())
}

/// The line of a segment, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// What the line says.
    pub line: Line,
    /// The line's hash.
    pub sha: String,
    /// Where the body begins.
    pub body_at: u64,
    /// The size of the file.
    pub size: u64,
}

/// Why a segment's line cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Its line cannot.
    #[error(transparent)]
    Line(#[from] BadLine),
}

/// Reads the line of a segment.
pub(crate) fn line(store: &Store, name: Name) -> Result<Stored, Unreadable> {
    stored(store.head(&name.path()))
}

/// Reads the lines of segments, in their order.
pub(crate) fn lines(
    store: &Store,
    names: Vec<Name>,
) -> impl Iterator<Item = (Name, Result<Stored, Unreadable>)> {
    let heads = store.heads(names.iter().map(Name::path).collect());
    names.into_iter().zip(heads.map(stored))
}

fn stored(head: io::Result<(Vec<u8>, u64)>) -> Result<Stored, Unreadable> {
    let (head, size) = head?;
    let (line, sha, body_at) = Line::read(&head)?;
    Ok(Stored {
        line,
        sha,
        body_at: body_at as u64,
        size,
    })
}

/// Why an archive does not have what follows a position, now or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutOfReach {
    /// The archive cannot be read.
    #[error("the archive cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A segment cannot.
    #[error("segment {0}: {1}")]
    Segment(Name, Unreadable),
    /// The archive begins later.
    #[error("the archive begins at tick {0}")]
    Before(i64),
    /// The position is one of another queue, or of another history.
    #[error("the archive is one of another queue: its epoch is {0}")]
    OtherEpoch(i64),
    /// The next provider has begun before it.
    #[error("tick {0} is on a branch: the provider after it began at tick {1} of that queue")]
    OnBranch(i64, i64),
    /// The archive lacks it.
    #[error("the archive has a hole there, after tick {0}: {1}")]
    InHole(i64, String),
}

/// Checks that an archive has, or will have, what follows a position. Reads names and one line.
pub(crate) fn reaches(store: &Store, identity: &Identity, at: Place) -> Result<(), OutOfReach> {
    let begin = identity.begin;
    let listing = Listing::read(store)?;
    // A queue that comes back has older segments, which do not tell where its new ones will be left.
    let is_behind = |(_, to): (u64, Place)| to.0 == at.0 && to.1.0 <= at.1.0;
    if nothing_behind(store, &listing)?.is_some_and(is_behind) {
        return Ok(());
    }
    let Some(name) = listing.holding(at) else {
        if begin.0 != at.0 {
            return Err(OutOfReach::OtherEpoch(begin.0.0));
        }
        return match begin.1.0 <= at.1.0 {
            true => Ok(()),
            false => Err(OutOfReach::Before(begin.1.0)),
        };
    };
    let read = |name: Name| line(store, name).map_err(|why| OutOfReach::Segment(name, why));
    let stored = read(*name)?;
    match &stored.line.hole {
        Some(hole) if at.0 != stored.line.to.0 || at.1.0 < stored.line.to.1.0 => {
            return Err(OutOfReach::InHole(hole.after.1.0, hole.why.clone()));
        }
        Some(_) | None => {}
    }
    // The segment that leaves this queue, if there is one.
    let mut later = listing
        .segments
        .iter()
        .filter(|one| one.seq >= name.seq)
        .peekable();
    let last = loop {
        match later.next() {
            None => return Ok(()),
            Some(one) if later.peek().is_some_and(|next| next.epoch == one.epoch) => {}
            Some(one) => break *one,
        }
    };
    match read(last)?.line.hop {
        Some(hop) if hop.from.0 == at.0 && hop.from.1.0 < at.1.0 => {
            Err(OutOfReach::OnBranch(at.1.0, hop.from.1.0))
        }
        Some(_) | None => Ok(()),
    }
}

/// Follows a chain, segment by segment.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    /// The archive's own identity.
    archive: String,
    /// The number that comes next.
    seq: u64,
    /// The hash of the line before; None: that line cannot be read.
    prev: Option<String>,
    /// Where the segment before ends; None: not known.
    at: Option<Place>,
}

impl Follow {
    /// At the begin of an archive.
    pub(crate) fn new(identity: &Identity) -> Follow {
        Follow {
            archive: identity.archive.clone(),
            seq: identity.first,
            prev: Some(identity.sha.clone()),
            at: Some(identity.begin),
        }
    }

    /// At a segment of which nothing is known but its number.
    pub(crate) fn at(identity: &Identity, seq: u64) -> Follow {
        Follow {
            archive: identity.archive.clone(),
            seq,
            prev: (seq == identity.first).then(|| identity.sha.clone()),
            at: None,
        }
    }

    /// The segment that follows, of which the line was read or not. Gives what is wrong with it, and goes on behind it.
    pub(crate) fn next(&mut self, name: Name, read: &Result<Stored, Unreadable>) -> Vec<String> {
        let mut faults = self.number(name);
        match read {
            Err(unreadable) => {
                faults.push(unreadable.to_string());
                (self.prev, self.at) = (None, None);
            }
            Ok(stored) => {
                faults.extend(self.line(name, stored));
                self.prev = Some(stored.sha.clone());
                self.at = Some(stored.line.to);
            }
        }
        faults
    }

    fn number(&mut self, name: Name) -> Vec<String> {
        let expected = self.seq;
        self.seq = name.seq + 1;
        if name.seq == expected {
            return Vec::new();
        }
        if name.seq < expected {
            return vec![format!("there is another segment {}", name.seq)];
        }
        // What follows a gap does not name the line before it.
        (self.prev, self.at) = (None, None);
        let last = name.seq - 1;
        vec![match expected == last {
            true => format!("segment {expected} before it is missing"),
            false => format!("segments {expected} to {last} before it are missing"),
        }]
    }

    fn line(&self, name: Name, stored: &Stored) -> Vec<String> {
        let line = &stored.line;
        let mut faults = Vec::new();
        if line.archive != self.archive {
            faults.push(format!("it is of another archive, {}", line.archive));
        }
        if line.name() != name {
            faults.push(format!("its line is that of {}", line.name()));
        }
        if self.prev.as_ref().is_some_and(|prev| *prev != line.prev) {
            faults.push("it does not follow the segment before it".into());
        }
        if self.at.is_some_and(|at| at != line.from) {
            faults.push("it does not begin where the segment before it ends".into());
        }
        if stored.size != stored.body_at + line.body_bytes {
            faults.push(format!(
                "it has {} bytes in place of {}",
                stored.size,
                stored.body_at + line.body_bytes
            ));
        }
        let (from, to) = (line.from, line.to);
        match &line.hop {
            None if from.0 != to.0 => {
                faults.push("it goes on in another queue, and does not say where".into());
            }
            Some(hop) if hop.to != to || hop.from.0 != from.0 || hop.from.1.0 > from.1.0 => {
                faults.push("it goes on in another queue, and not where it says".into());
            }
            Some(_) | None => {}
        }
        faults
    }
}
