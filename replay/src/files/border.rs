//! Borders between the queues of two providers, as the segments of an archive say them.

use std::io;

use super::unreadable::{damaged, of_body, unreadable};
use crate::{
    archive::{
        chain::{self, Listing, Stored, Unreadable},
        store::Store,
        unpacked,
    },
    frames::{
        body::{self, Pieces},
        frame::Heirs,
        place::Time,
        segment::{Hop, Name},
    },
    trouble::Trouble,
};

/// A border between the queues of two providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Border {
    /// The segment that says so.
    pub name: Name,
    /// What it says.
    pub hop: Hop,
    /// When the first tick behind it was made, by that provider's clock; none: not known.
    pub to_time: Option<Time>,
}

pub(super) fn border(name: Name, stored: &Stored) -> Option<Border> {
    let hop = stored.line.hop.clone()?;
    Some(Border {
        name,
        hop,
        to_time: stored.line.to_time,
    })
}

/// The border at the end of the stretch of one queue that a segment is in.
pub(super) fn leaves(
    store: &Store,
    listing: &Listing,
    first: Name,
) -> Result<Option<Border>, Trouble> {
    let mut names = listing
        .segments
        .iter()
        .filter(|name| name.seq >= first.seq)
        .peekable();
    while let Some(name) = names.next() {
        if names.peek().is_some_and(|next| next.epoch == name.epoch) {
            continue;
        }
        return match chain::line(store, *name) {
            // A hole stands for itself.
            Ok(stored) => Ok(border(*name, &stored).filter(|_| stored.line.hole.is_none())),
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(Unreadable::Io(error)) => Err(unreadable(error)),
            // Whoever comes there is told.
            Err(Unreadable::Line(_)) => Ok(None),
        };
    }
    Ok(None)
}

/// The tables of the queue behind a border, by their oids before it.
///
/// # Errors
/// The directory cannot be read, or the segment is damaged.
pub(super) fn heirs(store: &Store, border: &Border) -> Result<Heirs, Trouble> {
    let name = border.name;
    let stored = match chain::line(store, name) {
        Ok(stored) => stored,
        Err(Unreadable::Io(error)) => return Err(unreadable(error)),
        Err(Unreadable::Line(bad)) => return Err(damaged(name, &bad.to_string())),
    };
    let read = unpacked::checked(store, name, &stored, |body| {
        let mut pieces = Pieces::new(body);
        let mut found = None;
        while let Some(piece) = pieces.read()? {
            if let body::Piece::Heirs(heirs) = piece {
                found = Some(heirs);
            }
        }
        Ok(found)
    });
    let found = read.map_err(|bad| of_body(name, bad))?;
    found.ok_or_else(|| damaged(name, "it does not say which tables follow"))
}
