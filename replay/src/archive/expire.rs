//! What an archive does not keep any more: bases that its policy does not need, and the segments before the oldest base
//! that it needs.
//!
//! A base loses its manifest first, so that a crash leaves what counts for nothing; segments go from the oldest on,
//! after a mark says where the chain begins. Segments that are left the next run removes,
//! and the rest of a base goes as that of one whose maker was killed.

use std::io;

use admin::config::RetentionPolicy;
use jiff::Timestamp;

use super::{
    bases::State,
    begin::{self, Mark},
    chain,
    identity::Identity,
    keep,
    line::History,
    retention::{self, Candidate, Status},
    store::Store,
    turn::Turn,
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

/// The moment of an archive's end; none: nothing is archived yet.
pub(crate) fn now(found: &Verified) -> Option<Timestamp> {
    let mut lines = found.lines.iter().rev();
    lines.find_map(|line| line.to_time).map(Timestamp::from)
}

/// The history that the archive has.
pub(crate) fn history(found: &Verified) -> History {
    let begin = found.lines.first().map(|line| line.from);
    begin.map_or_else(History::default, |begin| History::of(begin, &found.lines))
}

/// What the policy says of each base, in the order of [`Verified::bases`]; none: it is no base that is whole.
pub(crate) fn statuses(
    store: &Store,
    policy: RetentionPolicy,
    minimum_redundancy: u64,
    found: &Verified,
) -> io::Result<Vec<Option<Status>>> {
    let history = history(found);
    let on_branch = |at| history.find(at).is_some_and(|at| at.on_branch);
    let mut candidates = Vec::new();
    for (index, base) in found.bases.bases.iter().enumerate() {
        if let State::Made(manifest) = &base.state {
            let candidate = Candidate {
                end: manifest.time.into(),
                // A base on a branch restores nothing of the history that goes on.
                is_complete: manifest.is_complete() && !on_branch(manifest.at),
                keep: keep::of(store, &base.name)?,
            };
            candidates.push((index, candidate));
        }
    }
    // Bases are listed by when they were begun, and one off a subscriber that lags shows an older moment.
    candidates.sort_by_key(|(_, candidate)| candidate.end);
    let now = now(found).unwrap_or(Timestamp::MIN);
    let (indexes, candidates): (Vec<usize>, Vec<Candidate>) = candidates.into_iter().unzip();
    let reported = retention::report(policy, minimum_redundancy, now, &candidates);
    let mut statuses = vec![None; found.bases.bases.len()];
    for (index, status) in indexes.into_iter().zip(reported) {
        statuses[index] = Some(status);
    }
    Ok(statuses)
}

/// Finds what goes.
///
/// # Errors
/// [`NotNow`]: nothing is to go.
pub(crate) fn plan(
    store: &Store,
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
    let history = history(&found);
    let order = |at: Place| (history.find(at).map(|at| at.stretch), at.1.0);
    let mut needed: Option<Place> = None;
    for (base, status) in found.bases.bases.iter().zip(&statuses) {
        match (&base.state, status) {
            (State::Made(manifest), Some(Status::Obsolete)) => {
                plan.bases.push((base.name.to_string(), manifest.bytes()));
            }
            (State::Made(manifest), Some(status)) if retention::holds_frames(*status) => {
                let is_older = needed.is_none_or(|needed| order(manifest.at) < order(needed));
                needed = if is_older { Some(manifest.at) } else { needed };
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
    store: &Store,
    identity: &Identity,
    found: &Verified,
    (needed, window): (Place, Option<Timestamp>),
    plan: &mut Plan,
) -> io::Result<()> {
    let lines = &found.lines;
    let is_at = |line: &&segment::Line| line.from.0 == needed.0 && line.from.1.0 <= needed.1.0;
    // Of several segments that begin at one tick the frame begins in the first.
    let at = lines.iter().filter(is_at);
    let at = at.max_by_key(|line| (line.from.1.0, std::cmp::Reverse(line.seq)));
    let Some(at) = at.map(|line| line.seq) else {
        return Ok(());
    };
    // A hole has no time.
    let is_within = |line: &&segment::Line| {
        let end = line.to_time.map(Timestamp::from);
        window.is_some_and(|window| end.is_some_and(|end| end >= window))
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
pub(crate) fn carry_out(store: &Store, _turn: &Turn, plan: &Plan) -> io::Result<()> {
    for (name, _) in &plan.bases {
        let path = format!("bases/{name}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::tests::{Made, Part, place},
        frames::place::Time,
    };

    fn part(from: i64, number: u32, last: bool) -> Part<'static> {
        Part {
            from,
            to: from + 1,
            number,
            last,
            events: &[],
        }
    }

    /// The numbers of the segments that go where a base at a tick is the oldest one, and the mark's.
    fn gone(made: &Made, base: i64, window: Option<Timestamp>) -> (Vec<u64>, Option<u64>) {
        let (store, identity) = made.opened();
        let found = verify::archive(&store, &identity, Depth::Lines).unwrap();
        assert_eq!(found.faults, []);
        let mut plan = Plan::default();
        before(&store, &identity, &found, (place(base), window), &mut plan).unwrap();
        let segments = plan.segments.iter().map(|(name, _)| name.seq);
        (segments.collect(), plan.mark.map(|mark| mark.first))
    }

    #[test]
    fn a_frame_over_several_segments_stays_from_its_begin_on() {
        let made = Made::new();
        for from in [1, 2, 3] {
            made.publish(&[part(from, 0, true)]);
        }
        // One frame: three segments begin after tick 4.
        for number in [0, 1, 2] {
            made.publish(&[part(4, number, number == 2)]);
        }
        made.publish(&[part(5, 0, true)]);
        assert_eq!(gone(&made, 4, None), (vec![1, 2], Some(3)));
        assert_eq!(gone(&made, 1, None), (vec![], None));
    }

    #[test]
    fn an_old_hole_holds_no_segment() {
        let made = Made::new();
        made.publish(&[part(1, 0, true)]);
        made.publish_hole(5);
        for from in [5, 6, 7] {
            made.publish(&[part(from, 0, true)]);
        }
        let end = Time::try_from("2026-11-28T02:07:11.000000Z".to_owned()).unwrap();
        let later = Timestamp::from(end) + jiff::SignedDuration::from_secs(1);
        assert_eq!(gone(&made, 7, Some(later)), (vec![1, 2, 3], Some(4)));
        // All of them are of the window.
        assert_eq!(gone(&made, 7, Some(end.into())), (vec![], None));
    }

    #[test]
    fn segments_that_are_all_gone_come_again_from_the_mark_on() {
        let made = Made::new();
        let (store, identity) = made.opened();
        let mark = Mark::new(&identity.archive, 5, "sha", place(9), None);
        mark.make(&store).unwrap();
        made.publish(&[part(9, 0, true)]);
        assert!(made.path_of(5, 9).is_file());
        assert_eq!(begin::first(&store).unwrap(), 5);
        let (_, identity) = made.opened();
        let found = verify::archive(&store, &identity, Depth::Bodies).unwrap();
        assert_eq!(found.faults, []);
    }
}
