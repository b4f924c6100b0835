//! The daemon makes a base when one is due.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use admin::{
    config::{ArchiveConfig, ReplayConfig},
    exit::{Failure, one_line},
};
use sql::{
    connect::{ApplicationName, Purpose},
    event::shape::{Shape, ShapeId},
    install::ownership::Schema,
    provider,
};
use tracing::{error, info};

use super::{
    making::{From, Making, newest_shapes},
    pace::Pace,
};
use crate::{
    archive::{
        bases::Bases,
        chain::{self, Listing, OutOfReach, Unreadable},
        hook::{Event, Hook, What},
        identity::Identity,
        store::{Store, is_away},
    },
    frames::{
        detail::has_shape,
        manifest::{Manifest, Table},
        place::{Place, Time},
        segment::Line,
    },
};

/// The shortest and the longest time between two looks; in between it is a tenth of `base_every`.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The rest after a base that failed; each further one in a row is twice as long.
const FIRST_REST: Duration = Duration::from_secs(30);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Makes the bases of an archive.
#[derive(Clone)]
pub(crate) struct Schedule {
    config: ReplayConfig,
    archive: ArchiveConfig,
    /// This process writes the archive: else no base is begun.
    owns: Arc<AtomicBool>,
    hook: Hook,
    /// The newest segment that was looked at.
    seen: u64,
    /// The newest hole that was seen, or the newest border that tables lack changes behind.
    gap: Option<Gap>,
    /// The time of the newest tick that was seen.
    now: Option<Time>,
    /// What the last look found that the newest base has not: the reason, and the newest shape then.
    outgrown: Option<(&'static str, ShapeId)>,
}

/// What a look at the files finds.
struct Looked {
    /// Why a base is due; none: the files do not say so.
    why: Option<&'static str>,
    /// The newest base that counts.
    newest: Option<Manifest>,
}

impl Schedule {
    /// Nothing was looked at.
    pub(crate) fn new(
        config: ReplayConfig,
        archive: ArchiveConfig,
        owns: Arc<AtomicBool>,
        hook: Hook,
    ) -> Schedule {
        Schedule {
            config,
            archive,
            owns,
            hook,
            seen: 0,
            gap: None,
            now: None,
            outgrown: None,
        }
    }

    /// Makes a base whenever one is due. One that is begun goes on while the archive's loop is opened again, and so
    /// does the rest after one that failed.
    pub(crate) async fn run(mut self) -> Infallible {
        let consumer = self.archive.consumer.clone();
        let mut rest = FIRST_REST;
        loop {
            let every = self.archive.base_every;
            tokio::time::sleep((every / 10).clamp(LOOK.0, LOOK.1)).await;
            if every.is_zero() || !self.owns.load(Ordering::Relaxed) {
                continue;
            }
            let mut looking = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let due = looking.due();
                (looking, due)
            });
            let Ok((looked, due)) = looked.await else {
                continue;
            };
            self = looked;
            // What cannot be read is told by the frame loop, and by check.
            let Ok(looked) = due else { continue };
            let why = match (looked.why, &looked.newest) {
                (Some(why), _) => Some(why),
                (None, Some(newest)) => self.outgrown(newest).await,
                (None, None) => None,
            };
            let Some(why) = why else { continue };
            info!(%consumer, why, "base due");
            let made = self.make().await;
            self.outgrown = None;
            match made {
                Ok(made) => {
                    rest = FIRST_REST;
                    let what = format!("{} rows, {} bytes", made.rows(), made.bytes());
                    let event = Event::new(What::BaseDone, what);
                    self.hook.tell(event.of_base(&made.base).at(made.at.1.0));
                }
                Err(failure) => {
                    let error = one_line(failure.error.as_ref());
                    error!(%consumer, error, "base failed");
                    self.hook.tell(Event::new(What::BaseFailed, error));
                    tokio::time::sleep(rest).await;
                    rest = LONGEST_REST.min(rest * 2);
                }
            }
        }
    }

    /// Why the provider has outgrown a base, if it had so at the look before, too, and no table has changed since: DDL
    /// that comes in many steps makes one base. A provider that cannot be asked is told by the frame loop.
    async fn outgrown(&mut self, newest: &Manifest) -> Option<&'static str> {
        let found = self.ask_shapes(newest).await.ok().flatten();
        let is_at_rest = found.is_some() && found == self.outgrown;
        self.outgrown = found;
        found.filter(|_| is_at_rest).map(|(why, _)| why)
    }

    /// What the tables of the provider have that a base has not.
    async fn ask_shapes(
        &self,
        newest: &Manifest,
    ) -> Result<Option<(&'static str, ShapeId)>, Failure> {
        let name = ApplicationName::new(Purpose::Base, &self.config.daemon.job_name);
        let provider = &self.config.provider;
        let provider = provider.connect_for(&name, Schema::PROVIDER).await?;
        let queue = &self.config.queue;
        let epoch = provider::queue_epoch(&*provider, queue).await?;
        let Some(epoch) = epoch else {
            return Ok(None);
        };
        let mut captures = provider::captures(&*provider, Some(queue)).await?;
        captures.retain(|one| one.is_table_of(&self.archive.consumer) && !one.dropped);
        let shapes = newest_shapes(&provider, queue).await?;
        let kept = captures.iter().filter_map(|one| shapes.get(&one.oid));
        let kept: Vec<&Shape> = kept.map(|(shape, _)| shape).collect();
        let last = kept.iter().map(|shape| shape.shape.0).max();
        let is_its_queue = epoch.0 == newest.at.0.0;
        Ok(lacks(newest, &kept, is_its_queue).zip(last.map(ShapeId)))
    }

    /// Why a base is due, as far as the files say it.
    fn due(&mut self) -> io::Result<Looked> {
        let store = Store::open(&self.archive.address)?;
        let (job, queue) = (&self.config.daemon.job_name, &self.config.queue);
        let identity = Identity::read(&store, job, queue).map_err(io::Error::other)?;
        let bases = Bases::read(&store, &identity.archive)?;
        let listing = Listing::read(&store)?;
        let behind = chain::nothing_behind(&store, &listing)?;
        let mut complete: Vec<&Manifest> = bases.made().filter(|one| one.is_complete()).collect();
        complete.sort_by_key(|one| (segment_of(&listing, behind, one.at), one.at.1.0));
        // From one on a branch nothing of the history that goes on is restored.
        let mut newest = None;
        while let Some(one) = complete.pop() {
            match chain::reaches(&store, &identity, one.at) {
                Err(OutOfReach::OnBranch(..)) => {}
                Err(OutOfReach::Io(error) | OutOfReach::Segment(_, Unreadable::Io(error))) => {
                    return Err(error);
                }
                Ok(()) | Err(_) => {
                    newest = Some(one);
                    break;
                }
            }
        }
        let seq = newest.and_then(|one| segment_of(&listing, behind, one.at));
        self.look(&store, &listing, seq)?;
        let gap = newest
            .zip(self.gap)
            .and_then(|(one, gap)| gap.is_after(one.at, seq));
        Ok(Looked {
            why: why(newest, gap, self.now, self.archive.base_every),
            newest: newest.cloned(),
        })
    }

    /// Reads the lines of segments that are new, from the one on that a base lies in.
    fn look(&mut self, store: &Store, listing: &Listing, first: Option<u64>) -> io::Result<()> {
        let (first, seen) = (first.unwrap_or(0), self.seen);
        let near = listing.segments.iter().filter(|name| name.seq >= first);
        let mut all_read = true;
        for name in near.filter(|name| name.seq > seen) {
            let stored = match chain::line(store, *name) {
                Ok(stored) => Some(stored),
                // It has expired meanwhile, or will never be another one.
                Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
                Err(Unreadable::Line(_)) => None,
                Err(Unreadable::Io(error)) if is_away(&error) => return Err(error),
                Err(Unreadable::Io(_)) => {
                    all_read = false;
                    None
                }
            };
            // What could not be read is read again the next time.
            if all_read {
                self.seen = name.seq;
            }
            let Some(stored) = stored else { continue };
            self.now = stored.line.to_time.or(self.now);
            self.gap = Gap::of(&stored.line).or(self.gap);
        }
        Ok(())
    }

    async fn make(&self) -> Result<Manifest, Failure> {
        let from = self.archive.base_from.as_deref();
        let making = Making {
            config: &self.config,
            archive: &self.archive,
            from: From::named(&self.config, &self.archive, from).await?,
            tables: &[],
            whole: true,
            label: None,
            streams: 1,
            pace: Pace::new(self.archive.base_rate).map(Into::into),
            deadline: None,
        };
        making.make().await
    }
}

/// What the tables that an archive keeps have, and a base of them has not: it cannot be restored beyond that. Pure.
///
/// In another provider's queue tables have other numbers, and are known by their names.
fn lacks(base: &Manifest, kept: &[&Shape], is_its_queue: bool) -> Option<&'static str> {
    for now in kept {
        let mut tables = base.tables.iter();
        let is_it = |table: &&Table| match is_its_queue {
            true => table.oid == now.table.oid,
            false => table.schema == now.table.schema && table.name == now.table.name,
        };
        let Some(there) = tables.find(is_it) else {
            return Some("a table has come since the newest one");
        };
        let mut now = Shape::clone(now);
        now.table.oid = there.oid;
        if !has_shape(there, &now) {
            return Some("the columns or the name of a table have changed since the newest one");
        }
    }
    None
}

/// The segment that a base lies in, or the one that comes next behind the border that the archive ends with; none: the
/// archive has no segment of its queue before it. Pure.
fn segment_of(listing: &Listing, behind: Option<(u64, Place)>, at: Place) -> Option<u64> {
    match behind {
        Some((last, to)) if to.0 == at.0 && to.1.0 <= at.1.0 => Some(last + 1),
        Some(_) | None => listing.holding(at).map(|name| name.seq),
    }
}

/// A place that no base before it is restored over, or not with all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// The segment that says so.
    seq: u64,
    /// Where the archive goes on.
    to: Place,
    /// What the log says of it.
    why: &'static str,
}

impl Gap {
    fn of(line: &Line) -> Option<Gap> {
        let is_flawed = line.hop.as_ref().is_some_and(|hop| hop.flaws.is_some());
        let why = match (&line.hole, is_flawed) {
            (Some(_), _) => "the newest one is before a hole",
            (None, true) => "the newest one is before a border that tables lack changes behind",
            (None, false) => return None,
        };
        let (seq, to) = (line.seq, line.to);
        Some(Gap { seq, to, why })
    }

    /// What the log says, if it comes after a base in this segment. The numbers of two queues are not compared: the
    /// archive's own numbers are. A queue that comes back goes on with greater numbers. Pure.
    fn is_after(self, base: Place, segment: Option<u64>) -> Option<&'static str> {
        let is_behind = base.0 == self.to.0 && base.1.0 >= self.to.1.0;
        let is_after = !is_behind && segment.is_none_or(|segment| segment <= self.seq);
        is_after.then_some(self.why)
    }
}

/// Why a base is due: `now` is the time of the newest tick, so an archive that stands still gets none. Pure.
fn why(
    newest: Option<&Manifest>,
    gap: Option<&'static str>,
    now: Option<Time>,
    every: Duration,
) -> Option<&'static str> {
    let Some(newest) = newest else {
        return Some("there is none");
    };
    if gap.is_some() {
        return gap;
    }
    // The rows may be older than the base, off a subscriber that is behind: a further base would be as old.
    let made = newest.time.system().max(newest.began.system());
    let age = now?.system().duration_since(made).ok()?;
    (age >= every).then_some("the newest one is old")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::line::tests::{at, line},
        frames::{manifest::sample, segment::Hole},
    };

    #[test]
    fn a_base_is_due_without_one_behind_a_hole_and_by_the_time_of_ticks() {
        let base = sample();
        let hour = Duration::from_secs(3600);
        let at = |text: &str| Time::read(text);
        let soon = at("2026-11-28T03:00:00Z");
        assert_eq!(why(None, None, None, hour), Some("there is none"));
        assert_eq!(why(Some(&base), None, soon, hour), None);
        assert_eq!(why(Some(&base), Some("gap"), soon, hour), Some("gap"));
        let late = at("2026-11-28T03:07:11.500000Z");
        assert_eq!(
            why(Some(&base), None, late, hour),
            Some("the newest one is old")
        );
        // One that was made off a subscriber that was far behind is not old at once.
        let mut behind = sample();
        behind.time = at("2026-11-20T02:07:11Z").unwrap();
        assert_eq!(why(Some(&behind), None, soon, hour), None);
        assert!(why(Some(&behind), None, late, hour).is_some());
        // A clock that went back, and an archive that stands still.
        let back = at("2026-11-27T00:00:00Z");
        assert_eq!(why(Some(&base), None, back, hour), None);
        assert_eq!(why(Some(&base), None, None, hour), None);
    }

    #[test]
    fn a_base_is_outgrown_by_a_table_a_column_and_a_name() {
        let shape = |oid: u32, name: &str, columns: &[&str]| -> Shape {
            let columns: Vec<_> = columns
                .iter()
                .map(|name| {
                    serde_json::json!({"name": name, "type": "text", "key": null, "text_equal": true})
                })
                .collect();
            let table = serde_json::json!({"schema": "public", "name": name, "oid": oid});
            let shape = serde_json::json!({
                "shape": 1, "table": table, "identity": "full", "columns": columns
            });
            serde_json::from_value(shape).unwrap()
        };
        let was = shape(7, "t", &["a"]);
        let mut base = sample();
        base.tables.truncate(1);
        base.tables[0].oid = 7;
        base.tables[0].shape = serde_json::to_value(&was).unwrap();
        assert_eq!(lacks(&base, &[&was], true), None);
        assert_eq!(lacks(&base, &[], true), None);
        let other = shape(8, "u", &["a"]);
        assert!(
            lacks(&base, &[&was, &other], true)
                .unwrap()
                .contains("come")
        );
        for changed in [shape(7, "t", &["a", "b"]), shape(7, "renamed", &["a"])] {
            assert!(lacks(&base, &[&changed], true).unwrap().contains("changed"));
        }
        // Behind a border the table has another number, and its name is what counts.
        let there = shape(9, "t", &["a"]);
        assert_eq!(lacks(&base, &[&there], false), None);
        assert!(lacks(&base, &[&there], true).unwrap().contains("come"));
        let changed = shape(9, "t", &["a", "b"]);
        assert!(
            lacks(&base, &[&changed], false)
                .unwrap()
                .contains("changed")
        );
        assert!(
            lacks(&base, &[&shape(7, "u", &["a"])], false)
                .unwrap()
                .contains("come")
        );
        base.tables[0].shape = serde_json::json!({"later": 1});
        assert!(lacks(&base, &[&was], true).is_some());
    }

    #[test]
    fn a_base_is_before_a_gap_by_the_archives_own_numbers_and_not_by_those_of_two_queues() {
        let from_to = |seq, from, to| line(seq, from, to, Some(from));
        let mut hole = from_to(4, at(7, 500), at(8, 30));
        hole.hole = Some(Hole {
            after: at(7, 500),
            why: "gone".into(),
        });
        let gap = Gap::of(&hole).unwrap();
        let names = [
            line(3, at(7, 400), at(7, 500), None).name(),
            hole.name(),
            line(5, at(8, 30), at(8, 60), None).name(),
            from_to(6, at(8, 60), at(7, 510)).name(),
        ];
        let listing = Listing {
            segments: names.to_vec(),
            strangers: Vec::new(),
        };
        let behind = Some((6, at(7, 510)));
        let found = |place| {
            let segment = segment_of(&listing, behind, place);
            (segment, gap.is_after(place, segment).is_some())
        };
        assert_eq!(found(at(7, 450)), (Some(3), true));
        assert_eq!(found(at(7, 500)), (Some(4), true));
        // Its number is less, and it is behind.
        assert_eq!(found(at(8, 30)), (Some(5), false));
        // Nothing has come yet behind the border back.
        assert_eq!(found(at(7, 510)), (Some(7), false));
        assert_eq!(found(at(7, 520)), (Some(7), false));
        // What followed it is gone.
        assert_eq!(found(at(6, 900)), (None, true));
        // Behind the hole, before the archive has a segment there.
        assert_eq!(gap.is_after(at(8, 31), None), None);
        // A border is a gap where tables lack changes.
        let mut border = from_to(4, at(7, 500), at(8, 30));
        assert_eq!(Gap::of(&border), None);
        border.hop.as_mut().unwrap().flaws = Some(2);
        assert!(Gap::of(&border).is_some());
    }
}
