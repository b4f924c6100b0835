//! Waiting for a value, never for a time.

use std::time::{Duration, Instant};

/// Looks again and again until `ready` is true.
///
/// # Panics
///
/// After `limit`, naming `what`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    wait_value(what, limit, || ready().then_some(()));
}

/// Looks again and again until there is a value, and gives it.
///
/// # Panics
///
/// After `limit`, naming `what`.
#[track_caller]
pub fn wait_value<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(
            started.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The shortest of up to five tries, or the first that is within the limit. It checks a promise of time on a machine
/// that may be busy with other work for a moment. A promise that is never kept is found out all the same.
pub fn shortest_try(limit: Duration, mut take: impl FnMut() -> Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        shortest = shortest.min(take());
        if shortest < limit {
            break;
        }
    }
    shortest
}
