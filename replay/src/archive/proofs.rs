//! What the archive has found out of itself (`verify_every`): a small object for each time, which says how it went. So
//! whoever looks at the files knows when the archive was last verified, and whether it was well.

use std::{
    io,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::store::Store;
use crate::frames::place::Time;

/// The directory.
const PROOFS: &str = "proofs";

/// How many are left there; older ones go when a new one comes.
const KEPT: usize = 10;

/// A proof that is later than now by more than this counts for nothing: the clock was wrong then, or is now.
const SKEW: Duration = Duration::from_secs(3600);

const FORMAT: &str = "proof/1";
const GOOD: &str = "ok";
const BAD: &str = "failed";

/// How a verification went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// When it ended, by the clock of the daemon's host.
    pub time: Time,
    /// All was as it was written, and could be restored, if that was tried.
    pub is_good: bool,
    /// What was done, or what was wrong.
    pub what: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    trunkline: String,
    what: String,
}

/// The newest one; None: there is none.
pub(crate) fn newest(store: &Store, now: SystemTime) -> io::Result<Option<Proof>> {
    let mut names = store.list(PROOFS)?;
    while let Some(name) = names.pop() {
        let Some((time, is_good)) = read(&name) else {
            continue;
        };
        if time.system() > now + SKEW {
            continue;
        }
        let Some(bytes) = store.read(&format!("{PROOFS}/{name}"))? else {
            continue;
        };
        let body: Result<Body, _> = serde_json::from_slice(&bytes);
        let what = body.map_or_else(
            |error| format!("it cannot be read: {error}"),
            |body| body.what,
        );
        return Ok(Some(Proof {
            time,
            is_good,
            what,
        }));
    }
    Ok(None)
}

/// Notes how a verification went.
pub(crate) fn note(store: &Store, proof: &Proof) -> io::Result<()> {
    let body = Body {
        trunkline: FORMAT.into(),
        what: proof.what.clone(),
    };
    let text = serde_json::to_vec(&body).map_err(io::Error::other)?;
    store.create(&format!("{PROOFS}/{}", name(proof)), &[&text])?;
    // Those of a clock that was ahead go first: they would take the places of all that are true.
    let latest = proof.time.system() + SKEW;
    let is_ahead = |name: &String| read(name).is_some_and(|(time, _)| time.system() > latest);
    let (ahead, names): (Vec<String>, Vec<String>) =
        store.list(PROOFS)?.into_iter().partition(is_ahead);
    let surplus = names.len().saturating_sub(KEPT);
    for old in ahead.iter().chain(names.iter().take(surplus)) {
        // What a lock of the store keeps does no harm.
        let _ = store.remove(&format!("{PROOFS}/{old}"));
    }
    Ok(())
}

fn name(proof: &Proof) -> String {
    let seconds: String = String::from(proof.time).chars().take(19).collect();
    let end = if proof.is_good { GOOD } else { BAD };
    format!("{}Z-{end}", seconds.replace(['-', ':'], ""))
}

/// Reads a name such as `20261128T020711Z-ok`: time, and whether all was well.
fn read(name: &str) -> Option<(Time, bool)> {
    let (time, end) = name.split_once('-')?;
    let (date, hours) = time.strip_suffix('Z')?.split_once('T')?;
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..)?,
        hours.get(..2)?,
        hours.get(2..4)?,
        hours.get(4..)?
    );
    let is_good = match end {
        GOOD => true,
        BAD => false,
        _ => return None,
    };
    Some((Time::read(&time)?, is_good))
}

/// Whether the archive is to be verified: it was not, or not well, or so long ago. Pure.
pub(crate) fn is_due(newest: Option<&Proof>, now: SystemTime, every: Duration) -> bool {
    let Some(newest) = newest.filter(|one| one.is_good) else {
        return true;
    };
    let age = now.duration_since(newest.time.system());
    age.unwrap_or_default() >= every
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tests::Made;

    #[test]
    fn the_newest_proof_counts_and_none_of_a_clock_that_was_ahead() {
        let (store, _) = Made::new().opened();
        let made = Made::new();
        let store_of = made.store();
        drop(store);
        let store = store_of;
        let time = |text: &str| Time::read(text).unwrap();
        let now = time("2026-11-28T12:00:00Z").system();
        assert_eq!(newest(&store, now).unwrap(), None);
        let hour = Duration::from_secs(3600);
        assert!(is_due(None, now, hour));
        let proof = |text: &str, is_good, what: &str| Proof {
            time: time(text),
            is_good,
            what: what.into(),
        };
        let good = proof("2026-11-28T11:30:00Z", true, "restored");
        for one in [
            &good,
            &proof("2026-11-28T10:30:00Z", false, "x"),
            &proof("2027-11-28T10:30:00Z", true, "a year ahead"),
        ] {
            note(&store, one).unwrap();
        }
        assert_eq!(newest(&store, now).unwrap().as_ref(), Some(&good));
        assert!(!is_due(Some(&good), now, hour));
        assert!(is_due(Some(&good), now, hour / 2));
        // A clock that went back a little.
        assert!(!is_due(Some(&good), now - hour, hour));
        let bad = proof(
            "2026-11-28T11:40:00Z",
            false,
            "frames/x: its hash is another one",
        );
        note(&store, &bad).unwrap();
        assert_eq!(newest(&store, now).unwrap().as_ref(), Some(&bad));
        assert!(is_due(Some(&bad), now, hour));
        for minute in 0..20 {
            note(
                &store,
                &proof(
                    &format!("2026-11-28T11:{}:00Z", 40 + minute % 20),
                    true,
                    "y",
                ),
            )
            .unwrap();
        }
        assert!(store.list(PROOFS).unwrap().len() <= KEPT);
        // Ten of a clock that was a year ahead take no place of the next one.
        for minute in 10..20 {
            let text = format!("2027-11-28T11:{minute}:00Z");
            note(&store, &proof(&text, true, "ahead")).unwrap();
        }
        let next = proof("2026-11-28T12:00:00Z", true, "z");
        note(&store, &next).unwrap();
        assert_eq!(newest(&store, now).unwrap().as_ref(), Some(&next));
    }
}
