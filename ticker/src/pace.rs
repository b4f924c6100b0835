//! How long to wait, as functions of the settings and of what happened. Pure.

use std::time::{Duration, Instant};

use admin::config::TickerConfig;
use admin::daemon::Rests;

/// A database without a tick for this long is asked less often.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// How many times less often a quiet database is asked.
const IDLE_FACTOR: u32 = 10;

/// The longest wait between two looks for a quiet database; a longer `loop_delay` of the config is obeyed.
const IDLE_DELAY_MAX: Duration = Duration::from_millis(500);

/// First wait after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// The settings that a running loop follows; a reload replaces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Time between two looks for queues to tick, while there are queues to tick.
    pub(crate) loop_delay: Duration,
    /// The part of the time that making ticks may take, percent.
    pub(crate) tick_cost: u64,
    /// The longest wait that `tick_cost` asks for.
    pub(crate) max_lag: Duration,
    /// Time between two rounds of maintenance.
    pub(crate) maint_delay: Duration,
    /// Longest wait before a failed database is tried again, and between two looks at the retry queue.
    pub(crate) retry_delay: Duration,
}

impl Pace {
    pub(crate) fn of(config: &TickerConfig) -> Self {
        Self {
            loop_delay: config.loop_delay,
            tick_cost: config.tick_cost,
            max_lag: config.max_lag,
            maint_delay: config.maint_delay,
            retry_delay: config.retry_delay,
        }
    }

    /// The time from one look to the next, given the time since the last look that found a queue to tick, and the time
    /// that a look with ticks takes.
    pub(crate) fn look_delay(&self, quiet_for: Duration, round: Duration) -> Duration {
        if quiet_for < BUSY_FOR {
            let affordable = round.mul_f64(100.0 / self.tick_cost as f64);
            self.loop_delay.max(affordable.min(self.max_lag))
        } else {
            (self.loop_delay * IDLE_FACTOR).min(IDLE_DELAY_MAX.max(self.loop_delay))
        }
    }

    /// The time from the end of a look to the next one. A round that takes longer than `max_lag` leaves nothing of the
    /// delay: then the server still gets as much time for others as the round took, up to `max_lag`, unless ticks may
    /// take all of the time.
    pub(crate) fn rest(&self, delay: Duration, round: Duration) -> Duration {
        let others = round.mul_f64((100.0 / self.tick_cost as f64 - 1.0).max(0.0));
        let least = others.min(round).min(self.max_lag);
        delay.saturating_sub(round).max(least)
    }

    /// The rests between tries: they grow to `retry_delay`.
    pub(crate) fn rests(&self) -> Rests {
        Rests::new(FIRST_RETRY, self.retry_delay)
    }
}

/// How long a look with ticks takes of late. On a busy server it takes longer: it waits for a processor, and for the
/// disk.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rounds {
    mean: Option<Duration>,
}

impl Rounds {
    /// How much a new round counts: a tenth, so that one slow round does not make the ticks seldom.
    const WEIGHT: f64 = 0.1;

    /// Adds a round.
    pub(crate) fn add(&mut self, round: Duration) {
        let before = self.mean.unwrap_or(round);
        self.mean = Some(before.mul_f64(1.0 - Self::WEIGHT) + round.mul_f64(Self::WEIGHT));
    }

    /// The time of a round; zero before the first one.
    pub(crate) fn mean(&self) -> Duration {
        self.mean.unwrap_or_default()
    }
}

/// Whether an action that was last done at a time is due again.
pub(crate) fn is_due(last: Option<Instant>, delay: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(loop_delay: Duration) -> Pace {
        Pace {
            loop_delay,
            tick_cost: 5,
            max_lag: Duration::from_millis(80),
            maint_delay: Duration::from_secs(600),
            retry_delay: Duration::from_secs(30),
        }
    }

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_quiet_database_is_looked_at_ten_times_less_often() {
        let pace = pace(20 * MILLI);
        assert_eq!(pace.look_delay(Duration::ZERO, MILLI), 20 * MILLI);
        let quiet = Duration::from_secs(9);
        assert_eq!(pace.look_delay(quiet, 9 * MILLI), 200 * MILLI);
    }

    #[test]
    fn a_slow_pace_stays_what_the_config_says() {
        let pace = pace(Duration::from_secs(5));
        for quiet in [Duration::ZERO, Duration::from_secs(9)] {
            assert_eq!(pace.look_delay(quiet, MILLI), Duration::from_secs(5));
        }
    }

    #[test]
    fn slow_ticks_are_made_more_seldom_up_to_max_lag() {
        let mut pace = pace(20 * MILLI);
        let delays = |pace: &Pace| {
            [0, 1, 2, 3, 9].map(|round| pace.look_delay(Duration::ZERO, round * MILLI))
        };
        assert_eq!(
            delays(&pace),
            [20, 20, 40, 60, 80].map(|delay| delay * MILLI)
        );
        pace.tick_cost = 100;
        assert_eq!(delays(&pace), [20 * MILLI; 5]);
        pace.tick_cost = 1;
        pace.max_lag = 10 * MILLI;
        assert_eq!(delays(&pace), [20 * MILLI; 5], "loop_delay is the least");
    }

    #[test]
    fn a_round_that_is_longer_than_max_lag_leaves_time_for_others() {
        let mut pace = pace(20 * MILLI);
        let rest =
            |pace: &Pace, round: Duration| pace.rest(pace.look_delay(Duration::ZERO, round), round);
        assert_eq!(rest(&pace, MILLI), 19 * MILLI);
        assert_eq!(rest(&pace, 4 * MILLI), 76 * MILLI);
        for slow in [80, 100, 5000] {
            assert_eq!(rest(&pace, slow * MILLI), 80 * MILLI);
        }
        pace.tick_cost = 100;
        assert_eq!(rest(&pace, 100 * MILLI), Duration::ZERO);
    }

    #[test]
    fn one_slow_round_among_quick_ones_counts_a_tenth() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.mean(), Duration::ZERO);
        for _ in 0..50 {
            rounds.add(MILLI);
        }
        rounds.add(11 * MILLI);
        assert_eq!(rounds.mean().as_micros(), 2000);
    }
}
