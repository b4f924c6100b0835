//! Why the provider of a set is not moved.

use admin::exit::{Exit, Failure};
use serde::Serialize;
use sql::operation::Obstacle;

/// Why an operation does not begin, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    /// What stands in the way.
    pub reason: String,
    /// What to do about it; null: nothing is known.
    pub hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(reason: String) -> Refusal {
        Refusal { reason, hint: None }
    }

    #[must_use]
    pub(crate) fn advised(self, hint: &str) -> Refusal {
        Refusal {
            hint: Some(hint.to_owned()),
            ..self
        }
    }
}

/// What a node says that stands in the way.
pub(crate) fn told(node: &str, one: &Obstacle) -> Refusal {
    Refusal {
        reason: format!("{node}: {}", one.reason),
        hint: one.hint.clone(),
    }
}

/// Prints all that stands in the way.
pub(crate) fn print(refused: &[Refusal]) {
    for one in refused {
        let failure = Failure::message(Exit::Failed, format!("refused: {}", one.reason));
        let hint = one.hint.clone();
        Failure { hint, ..failure }.print();
    }
    if !refused.is_empty() {
        eprintln!("nothing was done");
    }
}
