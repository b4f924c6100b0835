//! One reason why something is not healthy. Pure.

use serde::Serialize;

/// How bad a reason is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The word as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// What kind of thing is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// A database cannot be asked.
    Unreachable,
    /// Something that is expected in a database does not exist, or is older than this program.
    NotInstalled,
    /// No tick is made.
    NoTick,
    /// A commit waits for a synchronous standby.
    Standby,
    /// A session waits for a lock.
    Lock,
    /// Changes of a table are not captured.
    NotCaptured,
    /// No daemon works on the subscriber.
    NoDaemon,
    /// The daemon runs and does nothing.
    Hangs,
    /// The operator has paused the subscriber.
    Paused,
    /// The daemon has stored an error that keeps it from going on.
    Error,
    /// The queue does not have, or does not hold, the events that the subscriber needs.
    Lost,
    /// A limit of the queue is near, or passed.
    Retention,
    /// A table is parked.
    Parked,
    /// Tables are being copied or caught up.
    Copying,
    /// Rows were not as their changes said.
    Conflicts,
    /// The subscriber lags: its rows are old.
    Lag,
    /// The database takes no writes, or its tables do not do what its role asks.
    Fence,
    /// The nodes of a set do not agree who its provider is, or two servers are one node.
    Set,
}

impl ReasonKind {
    /// The kind as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonKind::Unreachable => "unreachable",
            ReasonKind::NotInstalled => "not-installed",
            ReasonKind::NoTick => "no-tick",
            ReasonKind::Standby => "standby",
            ReasonKind::Lock => "lock",
            ReasonKind::NotCaptured => "not-captured",
            ReasonKind::NoDaemon => "no-daemon",
            ReasonKind::Hangs => "hangs",
            ReasonKind::Paused => "paused",
            ReasonKind::Error => "error",
            ReasonKind::Lost => "lost",
            ReasonKind::Retention => "retention",
            ReasonKind::Parked => "parked",
            ReasonKind::Copying => "copying",
            ReasonKind::Conflicts => "conflicts",
            ReasonKind::Lag => "lag",
            ReasonKind::Fence => "fence",
            ReasonKind::Set => "set",
        }
    }
}

/// One reason why something is not healthy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// How bad the reason is.
    pub severity: Severity,
    /// The kind of the fault.
    pub kind: ReasonKind,
    /// The subject of the reason: `ticker`, `replay`, `provider`, `subscriber`, or a table by its name.
    pub subject: String,
    /// What is wrong, in one line without values of rows.
    pub what: String,
    /// What to do about the reason.
    pub advice: Option<String>,
}

impl Reason {
    /// A reason without advice.
    pub fn new(
        severity: Severity,
        kind: ReasonKind,
        subject: &str,
        what: impl Into<String>,
    ) -> Reason {
        Reason {
            severity,
            kind,
            subject: subject.to_owned(),
            what: what.into(),
            advice: None,
        }
    }

    /// The same reason with advice.
    pub fn advised(self, advice: impl Into<String>) -> Reason {
        self.advised_if(Some(advice.into()))
    }

    /// The same reason with the stored advice, if there is advice.
    pub(super) fn advised_if(self, advice: Option<String>) -> Reason {
        Reason { advice, ..self }
    }

    /// `SUBJECT: WHAT`.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.subject, self.what)
    }
}

/// The severity of the worst reason; None: there are no reasons.
pub fn worst<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> Option<Severity> {
    reasons.into_iter().map(|reason| reason.severity).max()
}

/// An error that keeps a database from being asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Unasked {
    /// The error in one line.
    pub error: String,
    /// What to do about the error.
    pub advice: Option<String>,
}
