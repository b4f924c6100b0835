//! The other nodes of a set, as a database has heard of them. Pure.

use serde::Serialize;

use super::reason::{Reason, ReasonKind, Severity};
use crate::output::seconds;

/// After so many seconds without a word of a node its silence is told.
const SILENT: f64 = 30.0;

/// Another node of a set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberFacts {
    /// Its identity: a number, given as text because it may be above 2^53.
    pub node: String,
    /// What operators call it; null: nobody has said.
    pub name: Option<String>,
    /// provider, fenced, standby, reader or copy.
    pub role: &'static str,
    /// Seconds since it has the role; null: it follows, and has none.
    pub since_seconds: Option<f64>,
    /// The reign that the role belongs to.
    pub term: i64,
    /// The node that it reads from, by name or number; null: none.
    pub follows: Option<String>,
    /// As what it reads there, or would read; null: nobody has said.
    pub consumer: Option<String>,
    /// Ticks that the furthest node that reads the same log is ahead of it; null: it reads none.
    pub behind_ticks: Option<i64>,
    /// Seconds since it was heard.
    pub heard_seconds: f64,
    /// Why no node of the set can be trusted to be the provider; null: nothing is wrong.
    pub problem: Option<String>,
}

impl MemberFacts {
    /// What the node is called.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.node)
    }

    /// `pollux: standby for 3 min 20 s, term 2, follows castor`.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {}", self.title(), self.role);
        if let Some(since) = self.since_seconds {
            text.push_str(&format!(" for {}", seconds(since.max(0.0))));
        }
        if self.term > 0 {
            text.push_str(&format!(", term {}", self.term));
        }
        if let Some(upstream) = &self.follows {
            text.push_str(&format!(", follows {upstream}"));
        }
        if self.is_silent() {
            text.push_str(&format!(", not heard for {}", seconds(self.heard_seconds)));
        }
        text
    }

    /// Whether the node has said nothing for longer than nodes do.
    pub fn is_silent(&self) -> bool {
        self.heard_seconds > SILENT
    }

    /// What is wrong with the node, under its name; none: nothing is.
    pub fn told(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("node {}: {problem}", self.title()))
    }

    /// The reason why the set is not healthy; none if nothing is wrong with the node. `subject` is the database that
    /// has heard of it.
    pub(super) fn reason(&self, subject: &str) -> Option<Reason> {
        let reason = Reason::new(Severity::Critical, ReasonKind::Set, subject, self.told()?);
        Some(reason.advised(
            "trunkline fence one of them; one that is gone for ever: trunkline member remove NODE",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_described_and_a_second_provider_is_critical() {
        let mut one = MemberFacts {
            node: "17".into(),
            name: None,
            role: "standby",
            since_seconds: Some(200.0),
            term: 2,
            follows: Some("castor".into()),
            consumer: None,
            behind_ticks: None,
            heard_seconds: 3.0,
            problem: None,
        };
        let said = "17: standby for 3 min 20 s, term 2, follows castor";
        assert_eq!(one.describe(), said);
        assert_eq!(one.reason("provider"), None);
        one.heard_seconds = 60.0;
        assert_eq!(one.describe(), format!("{said}, not heard for 1 min 0 s"));
        one.problem = Some("two providers".into());
        let reason = one.reason("provider").unwrap();
        assert_eq!(reason.severity, Severity::Critical);
        assert_eq!(reason.what, "node 17: two providers");
    }
}
