//! When the tables' tasks look again at what is under way.

use std::time::{Duration, Instant};

/// How often to look while no hint comes.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// How long looks rest for each table under way that the last look has read, so that they read 200 rows a
/// second at most. With 1,000 tables each hint would otherwise read 1,000 rows, and each table gives
/// several hints.
const REST_A_ROW: Duration = Duration::from_millis(5);

/// Looks rest no longer than this: with very many tables under way they read more rows a second.
const LONGEST_LOOK_REST: Duration = Duration::from_secs(5);

/// When to look again.
pub(super) struct Pace {
    looked: Instant,
    /// No look is due before this time.
    rested: Instant,
    hinted: bool,
}

impl Pace {
    /// A look has just read so many rows.
    pub(super) fn looked_at(rows: usize) -> Pace {
        let looked = Instant::now();
        let rest = REST_A_ROW * u32::try_from(rows).unwrap_or(u32::MAX);
        Pace {
            looked,
            rested: looked + rest.min(LONGEST_LOOK_REST),
            hinted: false,
        }
    }

    /// Something may have changed: the next look comes as soon as this one has rested.
    pub(super) fn hint(&mut self) {
        self.hinted = true;
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        if self.hinted {
            self.rested
        } else {
            self.rested.max(self.looked + TURN)
        }
    }
}
