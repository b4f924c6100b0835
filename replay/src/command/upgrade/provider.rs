//! Which of the two databases takes the writes. Pure.

use serde::{Deserialize, Serialize};

/// The database that is the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Provider {
    /// None of them has a role yet: the old one takes the writes, as before.
    Nobody,
    /// The old one.
    Old,
    /// The new one.
    New,
}

impl Provider {
    /// The word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Provider::Nobody | Provider::Old => "old",
            Provider::New => "new",
        }
    }
}
