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
use tracing::{error, info};

use super::{
    making::{From, Making},
    pace::Pace,
};
use crate::{
    archive::{
        bases::Bases,
        chain::{self, Listing, Unreadable},
        identity::Identity,
        store::{Store, is_away},
    },
    frames::{manifest::Manifest, place::Time},
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
    /// The newest segment that was looked at.
    seen: u64,
    /// The tick behind the newest hole that was seen.
    hole: Option<i64>,
    /// The time of the newest tick that was seen.
    now: Option<Time>,
}

impl Schedule {
    /// Nothing was looked at.
    pub(crate) fn new(
        config: ReplayConfig,
        archive: ArchiveConfig,
        owns: Arc<AtomicBool>,
    ) -> Schedule {
        Schedule {
            config,
            archive,
            owns,
            seen: 0,
            hole: None,
            now: None,
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
            let Ok(Some(why)) = due else { continue };
            info!(%consumer, why, "base due");
            match self.make().await {
                Ok(()) => rest = FIRST_REST,
                Err(failure) => {
                    let error = one_line(failure.error.as_ref());
                    error!(%consumer, error, "base failed");
                    tokio::time::sleep(rest).await;
                    rest = LONGEST_REST.min(rest * 2);
                }
            }
        }
    }

    /// Why a base is due; None: it is not.
    fn due(&mut self) -> io::Result<Option<&'static str>> {
        let store = Store::open(&self.archive.address)?;
        let (job, queue) = (&self.config.daemon.job_name, &self.config.queue);
        let identity = Identity::read(&store, job, queue).map_err(io::Error::other)?;
        let bases = Bases::read(&store, &identity.archive)?;
        let newest = bases.made().rfind(|base| base.is_complete());
        self.look(&store, newest.map_or(0, |base| base.at.1.0))?;
        Ok(why(newest, self.hole, self.now, self.archive.base_every))
    }

    /// Reads the lines of segments that are new, as far as they follow a tick.
    fn look(&mut self, store: &Store, tick: i64) -> io::Result<()> {
        let listing = Listing::read(store)?;
        let seen = self.seen;
        // The tick may lie in the segment before those that begin at it or later.
        let first = listing.segments.partition_point(|name| name.tick < tick);
        let near = listing.segments.iter().skip(first.saturating_sub(1));
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
            if stored.line.hole.is_some() {
                self.hole = Some(stored.line.to.1.0);
            }
        }
        Ok(())
    }

    async fn make(&self) -> Result<(), Failure> {
        let from = self.archive.base_from.as_deref();
        let making = Making {
            config: &self.config,
            archive: &self.archive,
            from: From::named(&self.config, &self.archive, from).await?,
            tables: &[],
            label: None,
            streams: 1,
            pace: Pace::new(self.archive.base_rate).map(Into::into),
            deadline: None,
        };
        making.make().await.map(|_| ())
    }
}

/// Why a base is due: `now` is the time of the newest tick, so an archive that stands still gets none. Pure.
fn why(
    newest: Option<&Manifest>,
    hole: Option<i64>,
    now: Option<Time>,
    every: Duration,
) -> Option<&'static str> {
    let Some(newest) = newest else {
        return Some("there is none");
    };
    if hole.is_some_and(|hole| hole > newest.at.1.0) {
        return Some("the newest one is before a hole");
    }
    // The rows may be older than the base, off a subscriber that is behind: a further base would be as old.
    let made = newest.time.system().max(newest.began.system());
    let age = now?.system().duration_since(made).ok()?;
    (age >= every).then_some("the newest one is old")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::manifest::sample;

    #[test]
    fn a_base_is_due_without_one_behind_a_hole_and_by_the_time_of_ticks() {
        let base = sample();
        let hour = Duration::from_secs(3600);
        let at = |text: &str| Time::read(text);
        let soon = at("2026-11-28T03:00:00Z");
        assert_eq!(why(None, None, None, hour), Some("there is none"));
        assert_eq!(why(Some(&base), None, soon, hour), None);
        assert_eq!(why(Some(&base), Some(48_212), soon, hour), None);
        let hole = why(Some(&base), Some(48_213), soon, hour);
        assert_eq!(hole, Some("the newest one is before a hole"));
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
}
