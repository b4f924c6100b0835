//! The rests between the tries of work that fails.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Rests that grow from the first to the longest one, with jitter, and never end.
#[derive(Debug)]
pub struct Rests {
    longest: Duration,
    waits: ExponentialBackoff,
}

impl Rests {
    /// Rests after work that has not failed yet. No rest is longer than twice `longest`, whatever `first` is.
    pub fn new(first: Duration, longest: Duration) -> Rests {
        let waits = ExponentialBuilder::default()
            .with_min_delay(first.min(longest))
            .with_max_delay(longest)
            .with_jitter()
            .without_max_times()
            .build();
        Rests { longest, waits }
    }

    /// The rest after one more failure.
    pub fn next_rest(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_never_end_and_stay_near_the_longest() {
        let longest = Duration::from_secs(30);
        let mut rests = Rests::new(Duration::from_millis(100), longest);
        assert!(rests.next_rest() <= Duration::from_millis(200));
        let last = (0..500).map(|_| rests.next_rest()).last().unwrap();
        assert!(last >= longest && last <= longest * 2, "{last:?}");
    }

    #[test]
    fn the_first_rest_is_not_longer_than_the_longest() {
        let longest = Duration::from_millis(10);
        let mut rests = Rests::new(Duration::from_secs(9), longest);
        assert!(rests.next_rest() <= longest * 2);
    }
}
