//! Whether a queue is ticked as it should be. Pure.

use super::reason::{Reason, ReasonKind, Severity};
use crate::output::seconds;

/// How much later than due a tick may be, because a machine may be loaded.
const TICK_GRACE_SECONDS: f64 = 15.0;

/// The facts of a queue's ticks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TickFacts {
    /// Seconds since the last tick; None: there is no tick.
    pub age: Option<f64>,
    /// Events numbered since the last tick.
    pub pending: i64,
    /// Seconds after which an event makes a tick due.
    pub max_lag: f64,
    /// Seconds after which a quiet queue gets a tick all the same.
    pub idle_period: f64,
    /// No ticks are made, by the operator's wish.
    pub paused: bool,
    /// Ticks come from outside, at their own times.
    pub external: bool,
    /// The process on the server that holds the ticker's lock; None: no ticker of ours is connected.
    pub ticker: Option<i32>,
}

impl TickFacts {
    /// Ages of the last tick above which the next tick is late, as a warning and as critical; None: no tick is
    /// expected.
    pub fn limits(&self) -> Option<(f64, f64)> {
        if self.external || self.paused {
            return None;
        }
        let period = if self.pending > 0 {
            self.max_lag
        } else {
            self.idle_period
        };
        let (warn, crit) = (
            period + TICK_GRACE_SECONDS,
            2.0 * period + 4.0 * TICK_GRACE_SECONDS,
        );
        // If no ticker is connected, a late tick is critical at once: waiting would not tell more.
        Some((warn, if self.ticker.is_none() { warn } else { crit }))
    }

    /// What is wrong with the ticking, if anything.
    pub fn reason(&self) -> Option<Reason> {
        let reason =
            |severity, what: String| Reason::new(severity, ReasonKind::NoTick, "ticker", what);
        let Some(age) = self.age else {
            let found = reason(Severity::Critical, "the queue has no tick".into());
            return Some(found.advised("start the ticker: ticker start -d"));
        };
        if self.paused {
            let mut what = "its ticker is paused".to_owned();
            if self.pending > 0 {
                what.push_str(&format!(", {} events wait", self.pending));
            }
            let found = Reason::new(Severity::Warning, ReasonKind::NoTick, "queue", what);
            return Some(found.advised("trunkline queue set QUEUE ticker_paused=false"));
        }
        let (warn, crit) = self.limits()?;
        let severity = match age {
            age if age > crit => Severity::Critical,
            age if age > warn => Severity::Warning,
            _ => return None,
        };
        let what = format!("no tick for {}", seconds(age));
        Some(match self.ticker {
            None => reason(severity, format!("{what}: does the ticker run?"))
                .advised("start the ticker: ticker start -d"),
            Some(pid) => reason(
                severity,
                format!("{what}, though it is connected (pid {pid} on the server)"),
            )
            .advised("see the ticker's log; if it hangs: ticker restart"),
        })
    }
}
