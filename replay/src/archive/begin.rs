//! Where the chain of segments begins, since those before have expired. `expired/00000123.json` is made before segments
//! go: so a segment that is missing at the begin of a chain is missed like any other.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

use super::store::{Create, Store};
use crate::frames::{
    place::{Place, Time},
    segment::sha,
};

/// The directory of the marks.
const EXPIRED: &str = "expired";

/// The format and its version.
const FORMAT: &str = "expired/1";

/// What a mark says: all segments before its number are of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The format: [`FORMAT`].
    trunkline: String,
    /// The archive's own identity.
    archive: String,
    /// The number of the first segment that is kept.
    pub first: u64,
    /// The hash of the line before it, which the segment names.
    pub prev: String,
    /// Where it begins.
    pub from: Place,
    /// The time of that; null: not known.
    pub from_time: Option<Time>,
}

impl Mark {
    /// The mark of an archive for the segment that is to be its first.
    pub(crate) fn new(
        archive: &str,
        first: u64,
        prev: &str,
        from: Place,
        from_time: Option<Time>,
    ) -> Mark {
        Mark {
            trunkline: FORMAT.into(),
            archive: archive.into(),
            first,
            prev: prev.into(),
            from,
            from_time,
        }
    }

    /// The newest mark; none: nothing has expired.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub(crate) fn newest(store: &Store, archive: &str) -> io::Result<Option<Mark>> {
        let numbers = numbers(store)?;
        let Some(newest) = numbers.last() else {
            return Ok(None);
        };
        let path = path(*newest);
        let wrong = |why: &str| io::Error::new(ErrorKind::InvalidData, format!("{path}: {why}"));
        let Some(bytes) = store.read(&path)? else {
            // Another process has made a newer one, and removed this one.
            return Mark::newest(store, archive);
        };
        let text = std::str::from_utf8(&bytes).ok();
        let parts = text.and_then(|text| text.strip_suffix('\n')?.rsplit_once(' '));
        let (json, found) = parts.ok_or_else(|| wrong("it is cut off"))?;
        if sha(json.as_bytes()) != found {
            return Err(wrong("it is not what was written: its hash is another one"));
        }
        let mark: Mark = serde_json::from_str(json)
            .map_err(|error| wrong(&format!("it cannot be read: {error}")))?;
        match mark.trunkline == FORMAT && mark.archive == archive && mark.first == *newest {
            true => Ok(Some(mark)),
            false => Err(wrong("it is of another archive, number or version")),
        }
    }

    /// Makes the mark, and removes those before it.
    pub(crate) fn make(&self, store: &Store) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let text = format!("{json} {}\n", sha(json.as_bytes()));
        match store.create(&path(self.first), &[text.as_bytes()])? {
            Create::Made | Create::Exists => {}
        }
        for number in numbers(store)? {
            if number < self.first {
                store.remove(&path(number))?;
            }
        }
        Ok(())
    }
}

/// The number of the first segment of a chain, as the marks' names tell: of those before it some may still be there.
pub(crate) fn first(store: &Store) -> io::Result<u64> {
    Ok(numbers(store)?.last().copied().unwrap_or(1))
}

/// The numbers of the marks, in their order. Files of other names are none of ours.
fn numbers(store: &Store) -> io::Result<Vec<u64>> {
    let names = store.list(EXPIRED)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (path(number) == format!("{EXPIRED}/{name}")).then_some(number)
}

fn path(first: u64) -> String {
    format!("{EXPIRED}/{first:08}.json")
}
