//! An operation that moves the provider of a set, as a database has it. Pure.

use serde::Serialize;

use super::reason::{Reason, ReasonKind, Severity};
use crate::output::seconds;

/// A command that does an operation says something every few seconds. After so many seconds without a word it is taken
/// to be gone.
const LEFT_SECONDS: f64 = 60.0;

/// A running operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationFacts {
    /// Its number, given as text because it may be above 2^53.
    pub id: String,
    /// switchover or failover.
    pub kind: &'static str,
    /// The provider before, by name or number.
    pub old: String,
    /// The provider afterwards, by name or number.
    pub new: String,
    /// How far it is in this database.
    pub step: &'static str,
    /// The role of the server that began it.
    pub started_by: String,
    /// Seconds since it began.
    pub seconds: f64,
    /// Seconds since the command that does it has said something.
    pub quiet_seconds: f64,
}

impl OperationFacts {
    /// `switchover from castor to pollux for 12 s by postgres, step catch-up`.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{} from {} to {} for {} by {}, step {}",
            self.kind,
            self.old,
            self.new,
            seconds(self.seconds),
            self.started_by,
            self.step
        );
        if self.is_left() {
            let quiet = seconds(self.quiet_seconds);
            text.push_str(&format!(", nobody has worked on it for {quiet}"));
        }
        text
    }

    /// Whether nobody works on it any more.
    pub fn is_left(&self) -> bool {
        self.quiet_seconds > LEFT_SECONDS
    }

    /// The reason why the set is not healthy; none while the command works. `subject` is the database.
    pub(super) fn reason(&self, subject: &str) -> Option<Reason> {
        let reason = || {
            Reason::new(
                Severity::Critical,
                ReasonKind::Set,
                subject,
                self.describe(),
            )
        };
        let advice = format!("trunkline {} QUEUE --resume, or --abort", self.kind);
        self.is_left().then(|| reason().advised(advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_nobody_works_on_is_critical() {
        let mut one = OperationFacts {
            id: "17".into(),
            kind: "switchover",
            old: "castor".into(),
            new: "pollux".into(),
            step: "catch-up",
            started_by: "postgres".into(),
            seconds: 12.0,
            quiet_seconds: 3.0,
        };
        let said = "switchover from castor to pollux for 12 s by postgres, step catch-up";
        assert_eq!(one.describe(), said);
        assert_eq!(one.reason("provider"), None);
        one.quiet_seconds = 90.0;
        let reason = one.reason("provider").unwrap();
        assert_eq!(reason.severity, Severity::Critical);
        let left = format!("{said}, nobody has worked on it for 1 min 30 s");
        assert_eq!(reason.what, left);
    }
}
