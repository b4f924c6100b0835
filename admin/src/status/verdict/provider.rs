//! What is wrong with the provider, and what the provider says of a subscriber. Pure.

use super::reason::{Reason, ReasonKind, Severity, Unasked};
use super::role::RoleFacts;
use super::ticks::TickFacts;
use super::waits::{Wait, waits};

/// A consumer that has used this share of a limit of the queue is told.
const NEAR: f64 = 0.8;

/// What is known of the provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProviderFacts {
    /// The error that keeps the provider from being asked, if there is one.
    pub unasked: Option<Unasked>,
    /// The queue's name.
    pub queue: String,
    /// The facts of the queue's ticks; None: the queue does not exist.
    pub ticks: Option<TickFacts>,
    /// Nobody may insert events.
    pub insert_disabled: bool,
    /// What the database is in the set of the queue's name; None: a plain provider.
    pub role: Option<RoleFacts>,
    /// Captured tables whose changes cannot be replicated, and why.
    pub problems: Vec<(String, String)>,
    /// Sessions of ours that wait.
    pub waits: Vec<Wait>,
    /// `synchronous_standby_names`.
    pub standbys: String,
}

/// What is wrong at the provider.
pub fn of_provider(facts: &ProviderFacts) -> Vec<Reason> {
    let critical = |kind, what: String| Reason::new(Severity::Critical, kind, "provider", what);
    if let Some(Unasked { error, advice }) = &facts.unasked {
        let found = critical(ReasonKind::Unreachable, error.clone());
        return vec![found.advised_if(advice.clone())];
    }
    let Some(ticks) = &facts.ticks else {
        let found = critical(
            ReasonKind::NotInstalled,
            format!("there is no queue {}", facts.queue),
        );
        return vec![found.advised("see pgq_queue_name; if it is right: replay install")];
    };
    let mut reasons: Vec<Reason> = ticks.reason().into_iter().collect();
    reasons.extend(facts.role.iter().flat_map(|role| role.reasons("provider")));
    // A fence disables inserts, too.
    let fenced = facts.role.as_ref().is_some_and(|role| !role.serves());
    if facts.insert_disabled && !fenced {
        let what = format!(
            "queue {} takes no events: writes of captured tables fail",
            facts.queue
        );
        let found = critical(ReasonKind::NotCaptured, what);
        reasons.push(found.advised("trunkline queue set QUEUE disable_insert=false"));
    }
    reasons.extend(facts.problems.iter().map(|(table, problem)| {
        let what = format!("its changes are not captured: {problem}");
        Reason::new(Severity::Critical, ReasonKind::NotCaptured, table, what)
            .advised("put the table right on the provider, then copy it again: replay resync TABLE")
    }));
    reasons.extend(waits("provider", &facts.waits, &facts.standbys));
    reasons
}

/// Whether the queue's events are held for a subscriber.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// A consumer holds the queue.
    Held,
    /// The consumer does not exist.
    NoConsumer,
    /// The consumer was detached because it held too much, and holds nothing any more. The text is the reason.
    Detached(String),
}

/// A limit of the queue, and how much of it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// The owner of the held events: the subscriber, or a table by its name.
    pub subject: String,
    /// The limit as it is set, such as `retention_age = 1 day`.
    pub limit: String,
    /// Share of the limit that is used; 1: all of it.
    pub used: f64,
    /// Above the limit the consumer is detached, and its events are no longer held.
    pub detaches: bool,
}

impl Retention {
    fn reason(&self) -> Option<Reason> {
        if self.used < NEAR {
            return None;
        }
        let then = if self.detaches {
            "; above it the events are given away"
        } else {
            ""
        };
        let (severity, what) = if self.used > 1.0 {
            let severity = if self.detaches {
                Severity::Critical
            } else {
                Severity::Warning
            };
            (
                severity,
                format!("what it has not applied is above {}{then}", self.limit),
            )
        } else {
            let share = self.used * 100.0;
            (
                Severity::Warning,
                format!(
                    "what it has not applied is at {share:.0} % of {}{then}",
                    self.limit
                ),
            )
        };
        Some(
            Reason::new(severity, ReasonKind::Retention, &self.subject, what)
                .advised("let it catch up, or raise the limit: trunkline queue set"),
        )
    }
}

/// What the provider says of a subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct FromProvider {
    /// The subscriber follows the queue that exists now.
    pub same_queue: bool,
    /// The queue has the tick that is the subscriber's position.
    pub tick_known: bool,
    /// Seconds since the oldest event that the subscriber has not applied, ticked or not; None: there is no such event.
    pub oldest: Option<f64>,
    /// Events that are not applied.
    pub events: i64,
    /// Ticks that are not applied.
    pub ticks: i64,
    /// Whether the queue's events are held for the subscriber.
    pub held: Held,
    /// The limits on what the subscriber may hold, its parked tables included.
    pub retention: Vec<Retention>,
}

impl FromProvider {
    /// The lag in seconds; None: it cannot be known what is not applied.
    pub(super) fn lag(&self) -> Option<f64> {
        (self.same_queue && self.tick_known).then(|| self.oldest.unwrap_or(0.0))
    }

    pub(super) fn reasons(&self) -> Vec<Reason> {
        let lost = |what: &str| Reason::new(Severity::Critical, ReasonKind::Lost, "provider", what);
        let mut reasons = Vec::new();
        if !self.same_queue {
            reasons.push(lost(
                "its queue is another one than the one that the subscriber follows",
            ));
        } else if !self.tick_known {
            reasons.push(lost(
                "it does not have the tick where the subscriber stands: it went back in time, or the events are gone",
            ));
        }
        match &self.held {
            Held::Held => {}
            Held::NoConsumer => reasons.push(
                lost("no consumer holds the events that the subscriber needs")
                    .advised("run replay install"),
            ),
            Held::Detached(why) => reasons.push(
                lost(&format!(
                    "the consumer was detached, events are given away: {why}"
                ))
                .advised("run replay install: it says what is lost"),
            ),
        }
        reasons.extend(self.retention.iter().filter_map(Retention::reason));
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_queue_is_told_when_it_is_near_and_when_it_is_passed() {
        let used = |used, detaches| {
            let retention = Retention {
                subject: "subscriber".into(),
                limit: "retention_age (1 h 0 min)".into(),
                used,
                detaches,
            };
            retention.reason().map(|reason| reason.severity)
        };
        assert_eq!(used(0.79, true), None);
        assert_eq!(used(0.81, true), Some(Severity::Warning));
        assert_eq!(used(1.1, false), Some(Severity::Warning));
        assert_eq!(used(1.1, true), Some(Severity::Critical));
    }
}
