//! The keys about a failover: which standby takes the place of a provider that is off, and what may be lost.

use std::time::Duration;

use super::document::Section;
use super::key::{Key, NumberKey, Reload, TextKey, TimeKey};
use super::value::{NumberRange, TimeRange};
use crate::notice::{Command, Letter};

/// What the config says about a failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverConfig {
    /// Which of several standbys that are equally far becomes the provider (`priority`): the highest; 0 never does.
    pub priority: i32,
    /// How much more of the provider's last time may be lost without a person's word (`max_loss`).
    pub max_loss: Duration,
    /// How many steps more a sequence is set forward (`sequence_margin`).
    pub sequence_margin: i32,
    /// What switches the provider off, or finds that it is (`fence_command`).
    pub fence: Option<Command>,
}

impl FailoverConfig {
    /// Whether the node is preferred, or passed over.
    pub(super) fn is_special(&self) -> bool {
        u64::try_from(self.priority).ok() != Some(PRIORITY.default)
    }
}

const PRIORITY: NumberKey = NumberKey {
    name: "priority",
    default: 100,
    range: NumberRange {
        least: 0,
        most: 1_000_000,
    },
    reload: Reload::Taken,
};
const MAX_LOSS: TimeKey = TimeKey {
    name: "max_loss",
    default: Duration::from_secs(60),
    range: TimeRange::millis(0, 86_400_000),
    reload: Reload::Taken,
};
const SEQUENCE_MARGIN: NumberKey = NumberKey {
    name: "sequence_margin",
    default: 10_000,
    range: NumberRange {
        least: 0,
        most: 1_000_000_000,
    },
    reload: Reload::Taken,
};
const FENCE: TextKey = TextKey {
    name: "fence_command",
    form: "command",
    default: "none",
    range: "%a %c %q %E %%",
    reload: Reload::Taken,
};

/// The keys of `[replay]` about a failover.
pub(super) const KEYS: [&dyn Key; 4] = [&PRIORITY, &MAX_LOSS, &SEQUENCE_MARGIN, &FENCE];

/// Reads the keys. `hosts`: how many hosts `provider_db` names.
pub(super) fn read(section: &Section<'_>, hosts: usize) -> FailoverConfig {
    let small = |key| i32::try_from(section.number(key)).unwrap_or(i32::MAX);
    let fence = section.text(FENCE.name).and_then(|text| {
        Command::parse(&text.value, Letter::OF_STATE)
            .inspect_err(|problem| section.problem(FENCE.name, problem))
            .ok()
    });
    if section.has(FENCE.name) && hosts < 2 {
        section.problem(
            FENCE.name,
            "needs all hosts of the set in provider_db: one of them takes the provider's place",
        );
    }
    FailoverConfig {
        priority: small(&PRIORITY),
        max_loss: section.time(&MAX_LOSS),
        sequence_margin: small(&SEQUENCE_MARGIN),
        fence,
    }
}
