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
    /// Time between two rounds of maintenance.
    pub(crate) maint_delay: Duration,
    /// Longest wait before a failed database is tried again, and between two looks at the retry queue.
    pub(crate) retry_delay: Duration,
}

impl Pace {
    pub(crate) fn of(config: &TickerConfig) -> Self {
        Self {
            loop_delay: config.loop_delay,
            maint_delay: config.maint_delay,
            retry_delay: config.retry_delay,
        }
    }

    /// The wait before the next look, given the time since the last look that found a queue to tick.
    pub(crate) fn look_delay(&self, quiet_for: Duration) -> Duration {
        if quiet_for < BUSY_FOR {
            self.loop_delay
        } else {
            (self.loop_delay * IDLE_FACTOR).min(IDLE_DELAY_MAX.max(self.loop_delay))
        }
    }

    /// The rests between tries: they grow to `retry_delay`.
    pub(crate) fn rests(&self) -> Rests {
        Rests::new(FIRST_RETRY, self.retry_delay)
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
            maint_delay: Duration::from_secs(600),
            retry_delay: Duration::from_secs(30),
        }
    }

    #[test]
    fn a_quiet_database_is_looked_at_ten_times_less_often() {
        let pace = pace(Duration::from_millis(20));
        assert_eq!(pace.look_delay(Duration::ZERO), Duration::from_millis(20));
        assert_eq!(
            pace.look_delay(Duration::from_secs(9)),
            Duration::from_millis(200)
        );
    }

    #[test]
    fn a_slow_pace_stays_what_the_config_says() {
        let pace = pace(Duration::from_secs(5));
        assert_eq!(
            pace.look_delay(Duration::from_secs(9)),
            Duration::from_secs(5)
        );
    }
}
