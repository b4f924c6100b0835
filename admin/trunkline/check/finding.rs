//! A finding of a check: its severity, its subject, its message and its numbers. Pure.

use admin::status::verdict::Severity;
use serde::Serialize;

use super::range::Range;

/// The severity of a finding, in the words and numbers of Nagios. The order is that of what is told first: a thing
/// whose state could not be found out may be worse than a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// All is well.
    Ok,
    /// Somebody should look.
    Warning,
    /// The state could not be found out.
    Unknown,
    /// Somebody must act.
    Critical,
}

impl Level {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => 3,
        }
    }

    /// The level of a reason's severity.
    pub(crate) fn of(severity: Severity) -> Level {
        match severity {
            Severity::Warning => Level::Warning,
            Severity::Critical => Level::Critical,
        }
    }

    /// The level's word, as Nagios writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// Age of each queue's last tick, in seconds
    Ticker,
    /// Lag of each consumer that has events to read, in seconds
    Consumers,
    /// Time since each queue's last rotation, in seconds
    Rotation,
    /// Bytes that each queue's events take on disk; all is well without --warn or --crit
    Size,
    /// Since when something keeps a queue's space from being used again, in seconds
    Holders,
    /// Captured tables whose changes may be missing from a queue
    Capture,
    /// What the database is in the set of each queue: a warning while it is fenced, critical for a copy
    Role,
    /// Whether tables take and refuse writes as the role asks
    Fence,
    /// Whether somebody works on each operation that moves a provider
    Operation,
    /// What the database has taken as a provider of the past that waits for a person
    Lost,
    /// Whether the other nodes of each set are heard, follow somebody, and hold nothing back where they read no more
    Members,
    /// Whether a standby could become the provider; of a replay's config
    Promotable,
    /// Whether each archive is whole, near, verified and has its bases; of a replay's config, and only if it is named
    Archive,
    /// Lag of each subscriber, in seconds; tables that are not ok, conflicts of the last day
    Replication,
    /// Whether what is installed fits these programs
    Versions,
}

impl Check {
    /// The check's name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Check::Ticker => "ticker",
            Check::Consumers => "consumers",
            Check::Rotation => "rotation",
            Check::Size => "size",
            Check::Holders => "holders",
            Check::Capture => "capture",
            Check::Role => "role",
            Check::Fence => "fence",
            Check::Operation => "operation",
            Check::Lost => "lost",
            Check::Members => "members",
            Check::Promotable => "promotable",
            Check::Archive => "archive",
            Check::Replication => "replication",
            Check::Versions => "versions",
        }
    }

    /// The number that the check's limits are for, and its unit; none if the check has no limits.
    pub(crate) fn measured(self) -> Option<Measured> {
        let measured = |name, unit| Some(Measured { name, unit });
        match self {
            Check::Ticker => measured("tick_age", Unit::Seconds),
            Check::Consumers => measured("consumer_lag", Unit::Seconds),
            Check::Rotation => measured("rotation_age", Unit::Seconds),
            Check::Size => measured("queue_size", Unit::Bytes),
            Check::Holders => measured("held", Unit::Seconds),
            Check::Replication => measured("replication_lag", Unit::Seconds),
            Check::Capture
            | Check::Role
            | Check::Fence
            | Check::Operation
            | Check::Lost
            | Check::Members
            | Check::Promotable
            | Check::Archive
            | Check::Versions => None,
        }
    }
}

/// A number's name and unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    Count,
}

/// Limits: a number that is not well by `warn` is a warning, by `crit` critical; a limit of none is never passed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Limits {
    pub(crate) warn: Option<Range>,
    pub(crate) crit: Option<Range>,
}

impl Limits {
    pub(crate) fn new(warn: f64, crit: f64) -> Limits {
        Limits {
            warn: Some(Range::up_to(warn)),
            crit: Some(Range::up_to(crit)),
        }
    }

    /// The operator's limits, or `usual` if the operator gave none.
    pub(crate) fn or(self, usual: Limits) -> Limits {
        if self == Limits::default() {
            usual
        } else {
            self
        }
    }

    /// The level of a number.
    pub(crate) fn level(self, value: f64) -> Level {
        if self.crit.is_some_and(|limit| limit.alerts(value)) {
            Level::Critical
        } else if self.warn.is_some_and(|limit| limit.alerts(value)) {
            Level::Warning
        } else {
            Level::Ok
        }
    }
}

/// A number that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    #[serde(flatten)]
    pub(crate) limits: Limits,
}

/// What a check found out about one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: Check,
    /// The finding's subject, from the large to the small: database, queue, consumer; or job, subscriber.
    pub(crate) of: String,
    pub(crate) status: Level,
    pub(crate) message: String,
    pub(crate) numbers: Vec<Number>,
}

impl Finding {
    /// A finding without numbers.
    pub(crate) fn new(check: Check, of: String, status: Level, message: String) -> Finding {
        Finding {
            check,
            of,
            status,
            message,
            numbers: Vec::new(),
        }
    }

    /// A finding with the level of its number.
    pub(crate) fn measured(
        check: Check,
        of: String,
        value: f64,
        limits: Limits,
        message: String,
    ) -> Finding {
        let mut finding = Finding::new(check, of, limits.level(value), message);
        if let Some(Measured { name, unit }) = check.measured() {
            finding.numbers.push(Number {
                name,
                value,
                unit,
                limits,
            });
        }
        finding
    }

    /// Adds a further number, which has no limits.
    pub(crate) fn count(mut self, name: &'static str, value: f64, unit: Unit) -> Finding {
        self.numbers.push(Number {
            name,
            value,
            unit,
            limits: Limits::default(),
        });
        self
    }

    /// The finding with at least this level.
    pub(crate) fn at_least(mut self, status: Level) -> Finding {
        self.status = self.status.max(status);
        self
    }
}

/// The worst level of all findings; [`Level::Unknown`] if there are no findings.
pub(crate) fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.status);
    levels.max().unwrap_or(Level::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_nothing_is_not_ok() {
        let finding = |status| Finding::new(Check::Ticker, "q".into(), status, String::new());
        assert_eq!(worst(&[]), Level::Unknown);
        assert_eq!(worst(&[finding(Level::Ok)]), Level::Ok);
        let two = [finding(Level::Unknown), finding(Level::Warning)];
        assert_eq!(worst(&two), Level::Unknown);
        let two = [finding(Level::Critical), finding(Level::Unknown)];
        assert_eq!(worst(&two), Level::Critical);
        let codes = [Level::Ok, Level::Warning, Level::Critical, Level::Unknown];
        assert_eq!(codes.map(Level::code), [0, 1, 2, 3]);
    }

    #[test]
    fn a_limit_is_passed_above_it() {
        let limits = Limits::new(10.0, 20.0);
        assert_eq!(limits.level(10.0), Level::Ok);
        assert_eq!(limits.level(10.5), Level::Warning);
        assert_eq!(limits.level(20.5), Level::Critical);
        assert_eq!(Limits::default().level(1e12), Level::Ok);
        let given = Limits {
            warn: Some(Range::up_to(1.0)),
            crit: None,
        };
        assert_eq!(given.or(limits), given);
        assert_eq!(Limits::default().or(limits), limits);
    }
}
