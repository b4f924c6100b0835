//! What is not as it should be with a ticker's databases and queues, for the ticker's page, metrics and health. The
//! same limits hold as for `trunkline check`. Pure.

use super::report::{ConsumerStatus, DatabaseStatus, HolderStatus, QueueStatus, TickerStatus};
use super::verdict::{Reason, ReasonKind, Severity, worst};
use crate::output::seconds;

/// The default limits of a consumer's lag in seconds: above the first it is a warning, above the second critical.
pub const CONSUMER_LIMITS: (f64, f64) = (300.0, 3600.0);

impl ConsumerStatus {
    /// Seconds that the consumer is behind; None: not known, or an idle member of a cooperating consumer, which has no
    /// position. Where its queue is not ticked, every consumer's last tick is old: who has read the last one is not
    /// behind.
    pub fn lag_behind(&self, queue: &QueueStatus) -> Option<f64> {
        if self.last_tick? >= queue.last_tick? {
            Some(0.0)
        } else {
            self.lag_seconds
        }
    }

    /// How bad the consumer's lag is, by the default limits; None: it is well.
    pub fn severity(&self, queue: &QueueStatus) -> Option<Severity> {
        match self.lag_behind(queue)? {
            lag if lag > CONSUMER_LIMITS.1 => Some(Severity::Critical),
            lag if lag > CONSUMER_LIMITS.0 => Some(Severity::Warning),
            _ => None,
        }
    }
}

/// The default limits of the time in seconds that something holds a queue's space.
pub const HOLDER_LIMITS: (f64, f64) = (3600.0, 21_600.0);

impl HolderStatus {
    /// How bad it is that the holder holds, by the default limits; None: it is well. A consumer that was detached has
    /// lost events.
    pub fn severity(&self) -> Option<Severity> {
        let held = self.held_seconds.unwrap_or(0.0);
        match (self.kind, self.over_limit) {
            ("detached", _) => Some(Severity::Critical),
            _ if held > HOLDER_LIMITS.1 => Some(Severity::Critical),
            (_, true) => Some(Severity::Warning),
            _ if held > HOLDER_LIMITS.0 => Some(Severity::Warning),
            _ => None,
        }
    }
}

impl TickerStatus {
    /// The reasons, each with the database, queue or consumer that it is about.
    pub fn reasons(&self) -> Vec<(String, Reason)> {
        self.databases.iter().flat_map(of_database).collect()
    }

    /// The severity of the worst reason; None: all is well.
    pub fn severity(&self) -> Option<Severity> {
        let reasons = self.reasons();
        worst(reasons.iter().map(|(_, reason)| reason))
    }
}

fn of_database(database: &DatabaseStatus) -> Vec<(String, Reason)> {
    let error = database.error.iter().map(|error| {
        let reason = Reason::new(
            Severity::Critical,
            ReasonKind::Unreachable,
            "database",
            error,
        );
        (database.name.clone(), reason)
    });
    let queues = database.queues.iter();
    error
        .chain(queues.flat_map(|queue| of_queue(&database.name, queue)))
        .collect()
}

fn of_queue(database: &str, queue: &QueueStatus) -> Vec<(String, Reason)> {
    let of = format!("{database}/{}", queue.name);
    let mut found = Vec::new();
    let mut add = |of: &str, reason| found.push((of.to_owned(), reason));
    if let (Some(error), None) = (&queue.error, &queue.pace) {
        let reason = Reason::new(Severity::Critical, ReasonKind::NotInstalled, "queue", error);
        add(&of, reason);
    }
    for reason in &queue.reasons {
        add(&of, reason.clone());
    }
    for one in &queue.capture_problems {
        let kind = ReasonKind::NotCaptured;
        add(
            &of,
            Reason::new(Severity::Critical, kind, &one.table, &one.problem),
        );
    }
    for one in &queue.consumer_list {
        if let (Some(severity), Some(lag)) = (one.severity(queue), one.lag_behind(queue)) {
            let what = format!("the last tick that it has finished is {} old", seconds(lag));
            let reason = Reason::new(severity, ReasonKind::Lag, &one.name, what);
            add(
                &of,
                reason.advised(
                    "see whether its program runs; one that is gone: trunkline consumer unregister",
                ),
            );
        }
    }
    for one in &queue.holder_list {
        if let Some(severity) = one.severity() {
            let what = format!("its space is held by {}", one.describe());
            add(
                &of,
                Reason::new(severity, ReasonKind::Retention, "queue", what),
            );
        }
    }
    found
}
