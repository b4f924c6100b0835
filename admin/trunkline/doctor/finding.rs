//! What `trunkline doctor` has found, and how bad it is. Pure.

use serde::Serialize;

use crate::check::Level;

/// Which of the two databases a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The provider.
    From,
    /// The one that follows it.
    To,
}

impl Side {
    /// The word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Side::From => "from",
            Side::To => "to",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Topic {
    Reachable,
    Version,
    Rights,
    Settings,
    Keys,
    Tables,
    Types,
    Triggers,
    Extensions,
    Roles,
    LargeObjects,
    Sequences,
    Transactions,
    Locks,
    Room,
}

impl Topic {
    /// The word, as in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Topic::Reachable => "reachable",
            Topic::Version => "version",
            Topic::Rights => "rights",
            Topic::Settings => "settings",
            Topic::Keys => "keys",
            Topic::Tables => "tables",
            Topic::Types => "types",
            Topic::Triggers => "triggers",
            Topic::Extensions => "extensions",
            Topic::Roles => "roles",
            Topic::LargeObjects => "large-objects",
            Topic::Sequences => "sequences",
            Topic::Transactions => "transactions",
            Topic::Locks => "locks",
            Topic::Room => "room",
        }
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) topic: Topic,
    pub(super) side: Side,
    /// Critical: it will fail, or lose something. Warning: a person should look. Unknown: it could not be seen.
    pub(super) status: Level,
    pub(super) message: String,
    /// What it is about, each by its name.
    pub(super) objects: Vec<String>,
    /// The command that mends it, for the first of the objects.
    pub(super) fix: Option<String>,
}

impl Finding {
    /// A finding without objects and without a command.
    pub(super) fn new(
        topic: Topic,
        side: Side,
        status: Level,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            topic,
            side,
            status,
            message: message.into(),
            objects: Vec::new(),
            fix: None,
        }
    }

    /// The same about these objects.
    pub(super) fn about(mut self, objects: Vec<String>) -> Finding {
        self.objects = objects;
        self
    }

    /// The same with a command; an empty text is none.
    pub(super) fn fixed_by(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into()).filter(|fix: &String| !fix.is_empty());
        self
    }
}

/// The worst level of all; [`Level::Unknown`] if nothing was found out.
pub(super) fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.status);
    levels.max().unwrap_or(Level::Unknown)
}
