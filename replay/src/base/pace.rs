//! How fast a base is read: no more bytes a second than the config allows, over all streams.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// A rate that streams share.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_a_second: f64,
    /// When the bytes that were taken so far may all have been read.
    due: Mutex<Instant>,
}

impl Pace {
    /// A rate in bytes a second; None for 0, which is no limit.
    pub(crate) fn new(bytes_a_second: u64) -> Option<Pace> {
        (bytes_a_second > 0).then(|| Pace {
            bytes_a_second: bytes_a_second as f64,
            due: Mutex::new(Instant::now()),
        })
    }

    /// Waits until as many bytes more may be read.
    pub(super) async fn take(&self, bytes: usize) {
        tokio::time::sleep_until(self.after(Instant::now(), bytes).into()).await;
    }

    /// When these bytes may be read that are asked for now. Time that nobody used is not saved up.
    fn after(&self, now: Instant, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
        let mut due = self.due.lock().unwrap_or_else(|error| error.into_inner());
        let begins = now.max(*due);
        *due = begins + takes;
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_in_a_second_than_allowed_and_an_idle_second_is_not_saved_up() {
        assert!(Pace::new(0).is_none());
        let pace = Pace::new(1000).unwrap();
        let begin = Instant::now() + Duration::from_secs(10);
        let seconds = |at: Instant| (at - begin).as_secs_f64();
        assert_eq!(seconds(pace.after(begin, 500)), 0.0);
        assert_eq!(seconds(pace.after(begin, 500)), 0.5);
        assert_eq!(seconds(pace.after(begin, 1)), 1.0);
        let later = begin + Duration::from_secs(100);
        assert_eq!(seconds(pace.after(later, 500)), 100.0);
        assert_eq!(seconds(pace.after(later, 500)), 100.5);
    }
}
