//! Waiting for a value, never for a time.

use std::time::{Duration, Instant};

/// Pauses between two looks.
const SHORTEST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(200);

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
    loop {
        let begin = Instant::now();
        if let Some(value) = look() {
            return value;
        }
        assert!(
            started.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        pause(started, begin.elapsed());
    }
}

/// Sleeps until the next look. Each look costs the machine, so the pause is as long as the `look` took, and
/// a tenth of the wait so far at least.
pub(crate) fn pause(started: Instant, look: Duration) {
    let pause = look.max(started.elapsed() / 10);
    std::thread::sleep(pause.clamp(SHORTEST, LONGEST));
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
