//! How long an archive waits for what it lacks before that becomes a hole, which is for ever. Pure.

use std::time::{Duration, Instant};

/// How long a host that does not answer is waited for, where it may have what is missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long all hosts must have answered that they have none of it: some meetings of the set, in which a provider of
/// the past is fenced.
const SETTLES: Duration = Duration::from_secs(5);

/// What hosts have of what an archive lacks. The greatest one decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Others {
    /// All have answered, and none has any of it.
    Nothing,
    /// One does not answer.
    Silent,
    /// This one has it.
    More(String),
}

/// How long a hole is waited for.
#[derive(Debug, Default)]
pub(crate) struct HoleWait {
    /// Since when no host is known to have what is missing.
    since: Option<Instant>,
    /// Since when all hosts answer that they have none of it.
    settled: Option<Instant>,
}

impl HoleWait {
    /// Whether it was long enough. With one host nobody can be asked whether another server has it. Pure.
    pub(super) fn is_over(&mut self, others: &Others, hosts: usize, now: Instant) -> bool {
        let nothing = match others {
            Others::More(_) => {
                *self = HoleWait::default();
                return false;
            }
            Others::Silent => {
                self.settled = None;
                None
            }
            Others::Nothing => Some(*self.settled.get_or_insert(now)),
        };
        let since = *self.since.get_or_insert(now);
        let nothing = nothing.filter(|_| hosts > 1);
        now.duration_since(since) >= PATIENCE
            || nothing.is_some_and(|nothing| now.duration_since(nothing) >= SETTLES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_made_after_all_hosts_have_said_for_a_time_that_they_have_nothing_or_after_a_long_time()
     {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let more = Others::More("castor".into());
        assert!(more > Others::Silent && Others::Silent > Others::Nothing);
        let mut wait = HoleWait::default();
        assert!(!wait.is_over(&Others::Nothing, 2, after(0)));
        assert!(!wait.is_over(&Others::Nothing, 2, after(4)));
        // One that misses a meeting may be the one that has it.
        assert!(!wait.is_over(&Others::Silent, 2, after(5)));
        assert!(!wait.is_over(&Others::Nothing, 2, after(6)));
        assert!(wait.is_over(&Others::Nothing, 2, after(11)));
        // One that has it is waited for, and so anew when it is gone.
        assert!(!wait.is_over(&more, 2, after(100)));
        assert!(!wait.is_over(&Others::Silent, 2, after(101)));
        assert!(!wait.is_over(&Others::Silent, 2, after(120)));
        assert!(wait.is_over(&Others::Silent, 2, after(121)));
        // Behind one address there may be any server.
        let mut alone = HoleWait::default();
        assert!(!alone.is_over(&Others::Nothing, 1, after(0)));
        assert!(!alone.is_over(&Others::Nothing, 1, after(19)));
        assert!(alone.is_over(&Others::Nothing, 1, after(20)));
    }
}
