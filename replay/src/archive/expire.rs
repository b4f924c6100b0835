//! What an archive does not keep any more: bases that its policy does not need, and the segments before the oldest base
//! that it needs.
//!
//! A base loses its manifest first, so that a crash leaves what counts for nothing; segments go from the oldest on,
//! after a mark says where the chain begins. Segments that are left the next run removes,
//! and the rest of a base goes as that of one whose maker was killed.

use std::{fs::File, io};

use admin::config::RetentionPolicy;
use jiff::Timestamp;

use super::{
    bases::State,
    begin::{self, Mark},
    chain,
    identity::{self, Identity},
    keep,
    retention::{self, Candidate, Status},
    store::Directory,
    verify::{self, Depth, Fault, Verified},
};
use crate::frames::{manifest::FILE, place::Place, segment};

/// What of an archive goes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The bases: name, and bytes on the disk.
    pub bases: Vec<(String, u64)>,
    /// The segments, from the oldest on: name, and bytes on the disk.
    pub segments: Vec<(segment::Name, u64)>,
    /// The chain's new begin; none: it stays where it is.
    mark: Option<Mark>,
}

impl Plan {
    /// Whether nothing goes.
    pub(crate) fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.segments.is_empty()
    }

    /// How many bytes that frees.
    pub(crate) fn bytes(&self) -> u64 {
        let bases = self.bases.iter().map(|(_, bytes)| bytes);
        let segments = self.segments.iter().map(|(_, bytes)| bytes);
        bases.chain(segments).sum()
    }
}

/// Why nothing expires.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotNow {
    /// The archive cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is damaged: what is left could be needed.
    #[error("nothing expires while the archive is damaged: {}: {}", .0.object, .0.what)]
    Damaged(Fault),
    /// Another process is at it.
    #[error("another process expires what this archive does not keep")]
    UnderWay,
}

/// The right to remove; it ends when this is dropped.
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Takes the right of an archive.
    ///
    /// # Errors
    /// Another process has it.
    pub(crate) fn take(store: &Directory) -> Result<Turn, NotNow> {
        let file = store.open(identity::FILE)?;
        match file.try_lock() {
            Ok(()) => Ok(Turn { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(NotNow::UnderWay),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// The moment of an archive's end; none: nothing is archived yet.
pub(crate) fn now(found: &Verified) -> Option<Timestamp> {
    let mut lines = found.lines.iter().rev();
    lines.find_map(|line| line.to_time).map(Timestamp::from)
}

/// What the policy says of each base, in the order of [`Verified::bases`]; none: it is no base that is whole.
pub(crate) fn statuses(
    store: &Directory,
    policy: RetentionPolicy,
    minimum_redundancy: u64,
    found: &Verified,
) -> io::Result<Vec<Option<Status>>> {
    let mut candidates = Vec::new();
    for base in &found.bases.bases {
        if let State::Made(manifest) = &base.state {
            candidates.push(Candidate {
                end: manifest.time.into(),
                is_complete: manifest.is_complete(),
                keep: keep::of(store, &base.name)?,
            });
        }
    }
    let now = now(found).unwrap_or(Timestamp::MIN);
    let mut reported = retention::report(policy, minimum_redundancy, now, &candidates).into_iter();
    let statuses = found.bases.bases.iter().map(|base| match &base.state {
        State::Made(_) => reported.next(),
        State::Unfinished | State::Damaged(_) => None,
    });
    Ok(statuses.collect())
}

/// Finds what goes.
///
/// # Errors
/// [`NotNow`]: nothing is to go.
pub(crate) fn plan(
    store: &Directory,
    identity: &Identity,
    policy: RetentionPolicy,
    minimum_redundancy: u64,
) -> Result<Plan, NotNow> {
    let found = verify::archive(store, identity, Depth::Lines)?;
    if let Some(first) = found.faults.first() {
        return Err(NotNow::Damaged(first.clone()));
    }
    let mut plan = Plan::default();
    let Some(now) = now(&found) else {
        return Ok(plan);
    };
    let statuses = statuses(store, policy, minimum_redundancy, &found)?;
    let mut needed: Option<Place> = None;
    for (base, status) in found.bases.bases.iter().zip(&statuses) {
        match (&base.state, status) {
            (State::Made(manifest), Some(Status::Obsolete)) => {
                plan.bases.push((base.name.to_string(), manifest.bytes()));
            }
            // The oldest comes first.
            (State::Made(manifest), Some(status)) if retention::holds_frames(*status) => {
                needed.get_or_insert(manifest.at);
            }
            (State::Made(_) | State::Unfinished | State::Damaged(_), _) => {}
        }
    }
    let leftovers = chain::expired(store)?;
    for name in leftovers {
        plan.segments.push((name, store.size(&name.path())?));
    }
    if let Some(needed) = needed {
        // A subscriber that was away comes back by the changes of the window.
        let window = policy
            .window()
            .map(|_| retention::begin_of_window(policy, now));
        before(store, identity, &found, (needed, window), &mut plan)?;
    }
    Ok(plan)
}

/// Adds the segments that nobody needs: those before the one with the place of a base, but for one, if they end before
/// the window. A frame that holds the place may have begun in that one.
fn before(
    store: &Directory,
    identity: &Identity,
    found: &Verified,
    (needed, window): (Place, Option<Timestamp>),
    plan: &mut Plan,
) -> io::Result<()> {
    let lines = &found.lines;
    let is_at = |line: &&segment::Line| line.from.0 == needed.0 && line.from.1.0 <= needed.1.0;
    let Some(at) = lines.iter().rfind(is_at).map(|line| line.seq) else {
        return Ok(());
    };
    let is_within = |line: &&segment::Line| {
        let end = line.to_time.map(Timestamp::from);
        window.is_some_and(|window| end.is_none_or(|end| end >= window))
    };
    let within = lines.iter().find(is_within).map(|line| line.seq);
    let first = at.saturating_sub(1).min(within.unwrap_or(u64::MAX));
    let goes = lines.iter().filter(|line| line.seq < first);
    for line in goes {
        let name = line.name();
        plan.segments.push((name, store.size(&name.path())?));
    }
    let is_first = |line: &&segment::Line| line.seq == first;
    if let Some(line) = lines.iter().find(is_first)
        && first > begin::first(store)?
    {
        let (prev, from) = (&line.prev, line.from);
        plan.mark = Some(Mark::new(
            &identity.archive,
            first,
            prev,
            from,
            line.from_time,
        ));
    }
    Ok(())
}

/// Removes what is planned.
///
/// # Errors
/// Something cannot be removed. The rest of it stays, and counts for nothing.
pub(crate) fn carry_out(store: &Directory, _turn: &Turn, plan: &Plan) -> io::Result<()> {
    for (name, _) in &plan.bases {
        let path = format!("bases/{name}");
        // It may have been pinned a moment ago.
        if keep::is_pinned(store, &path)? {
            continue;
        }
        store.remove(&format!("{path}/{FILE}"))?;
        store.remove_all(&path)?;
    }
    if let Some(mark) = &plan.mark {
        mark.make(store)?;
    }
    for (name, _) in &plan.segments {
        store.remove(&name.path())?;
    }
    chain::remove_empty(store)
}
