//! Pins: bases that are kept whatever the policy says. A pin is an object of its own beside the base's manifest.

use std::io;

use super::{retention::Keep, store::Store, turn::Turn};
use crate::frames::manifest::Name;

/// The pin with all that follows the base.
const FULL: &str = "keep-full";

/// The pin of the base alone.
const STANDALONE: &str = "keep-standalone";

/// The pin of a base; none: it is not pinned. Where both are there, the one that keeps more counts.
pub(crate) fn of(store: &Store, base: &Name) -> io::Result<Option<Keep>> {
    for (file, keep) in [(FULL, Keep::Full), (STANDALONE, Keep::Standalone)] {
        if store.has(&base.path(file))? {
            return Ok(Some(keep));
        }
    }
    Ok(None)
}

/// Pins a base, or lets it go. The new pin is there before the other one goes. Nothing expires meanwhile.
pub(crate) fn set(store: &Store, _turn: &Turn, base: &Name, keep: Option<Keep>) -> io::Result<()> {
    let (make, remove): (Option<&str>, &[&str]) = match keep {
        Some(Keep::Full) => (Some(FULL), &[STANDALONE]),
        Some(Keep::Standalone) => (Some(STANDALONE), &[FULL]),
        None => (None, &[FULL, STANDALONE]),
    };
    if let Some(make) = make {
        store.create(&base.path(make), &[b""])?;
    }
    for file in remove {
        store.remove(&base.path(file))?;
    }
    Ok(())
}
