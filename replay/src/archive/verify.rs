//! Reads every object of an archive, and names each that is not as it was written.

use std::io;

use super::{
    bases::{self, Bases},
    begin,
    chain::{self, Follow, Listing, Stored, Unreadable},
    identity::Identity,
    store::{Store, is_away},
    unpacked,
};
use crate::frames::{
    body::{BadBody, Counts, Frames},
    place::Place,
    segment::{Line, Name},
};

/// A fault of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The object's path in the archive.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

/// What an archive holds, as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// The faults, in the archive's order.
    pub faults: Vec<Fault>,
    /// The segments' lines, in order.
    pub lines: Vec<Line>,
    /// The bases.
    pub bases: Bases,
    /// Segments whose bodies are as they were stored, by their hashes, and which nobody opened to look further.
    pub closed: u64,
}

/// How much of an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Names and first lines.
    Lines,
    /// Everything.
    Bodies,
}

/// Checks an archive.
///
/// # Errors
/// The directory cannot be listed, or the object store does not answer: then nothing is known of what follows.
pub(crate) fn archive(store: &Store, identity: &Identity, depth: Depth) -> io::Result<Verified> {
    listed(store, identity, depth, Listing::read(store)?)
}

/// Checks the segments of a listing, and the bases.
pub(super) fn listed(
    store: &Store,
    identity: &Identity,
    depth: Depth,
    listing: Listing,
) -> io::Result<Verified> {
    let mut verified = Verified::default();
    // Each fault of a segment, with its number.
    let mut of_segments = Vec::new();
    for object in listing.strangers {
        let what = "it is no segment of this archive".to_owned();
        verified.faults.push(Fault { object, what });
    }
    let mut follow = Follow::new(&identity.clone().now(store)?);
    let mut frames = Frames::default();
    for (name, read) in chain::lines(store, listing.segments) {
        let read = match read {
            Err(Unreadable::Io(error)) if is_away(&error) => return Err(error),
            read => read,
        };
        let mut faults = follow.next(name, &read);
        if depth == Depth::Bodies {
            match &read {
                // What a name or a line tells is said once.
                Ok(stored) if faults.is_empty() => match body(store, name, stored, &mut frames)? {
                    Body::Well => {}
                    Body::Closed => verified.closed += 1,
                    Body::Wrong(what) => faults.push(what),
                },
                Ok(stored) => frames.go_on_at(stored.line.to),
                Err(_) => frames = Frames::default(),
            }
        }
        let object = name.path();
        of_segments.extend(faults.into_iter().map(|what| {
            let object = object.clone();
            (name.seq, Fault { object, what })
        }));
        verified.lines.extend(read.ok().map(|stored| stored.line));
    }
    // Reading may take hours. Nobody misses what has expired meanwhile.
    let first = begin::first(store)?;
    of_segments.retain(|(seq, _)| *seq >= first);
    verified.lines.retain(|line| line.seq >= first);
    let of_segments = of_segments.into_iter().map(|(_, fault)| fault);
    verified.faults.extend(of_segments);
    verified.bases = Bases::read(store, &identity.archive)?;
    let mut faults: Vec<(String, String)> = verified.bases.faults().collect();
    if depth == Depth::Bodies {
        for manifest in verified.bases.made() {
            faults.extend(bases::damage(store, manifest)?);
        }
    }
    let faults = faults.into_iter();
    let faults = faults.map(|(object, what)| Fault { object, what });
    verified.faults.extend(faults);
    Ok(verified)
}

/// How the body of a segment is.
enum Body {
    Well,
    /// Its hash is right, and no identity was given that it could be opened by.
    Closed,
    Wrong(String),
}

/// How the body of a segment is that follows from the one before.
///
/// # Errors
/// The object store does not answer.
fn body(store: &Store, name: Name, stored: &Stored, frames: &mut Frames) -> io::Result<Body> {
    let line = &stored.line;
    if frames.at().is_none() {
        frames.go_on_at(line.from);
    }
    if line.hole.is_some() || line.hop.is_some() {
        frames.go_on_at(line.to);
    }
    let followed = unpacked::checked(store, name, stored, |body| frames.follow(body));
    let fault = match followed {
        Err(BadBody::Record(error)) if is_away(&error) => return Err(error),
        // Who gives identities wants to know what none of them opens.
        Err(BadBody::Closed(_)) if store.identities().are_none() => {
            frames.go_on_behind(line.to);
            return Ok(Body::Closed);
        }
        Err(bad @ BadBody::Closed(_)) => {
            frames.go_on_behind(line.to);
            return Ok(Body::Wrong(bad.to_string()));
        }
        Err(bad) => Some(bad.to_string()),
        Ok(counts) => differing(line, counts, frames.at()),
    };
    Ok(match fault {
        None => Body::Well,
        Some(fault) => {
            frames.go_on_at(line.to);
            Body::Wrong(fault)
        }
    })
}

/// What the line says and the body does not.
fn differing(line: &Line, counts: Counts, at: Option<Place>) -> Option<String> {
    let said = Counts {
        frames: line.frames,
        parts: line.parts,
        events: line.events,
        raw_bytes: line.raw_bytes,
    };
    if counts != said {
        return Some(format!(
            "its body has {counts:?}, and its line says {said:?}"
        ));
    }
    (at != Some(line.to)).then(|| "its body does not end where its line says".to_owned())
}
