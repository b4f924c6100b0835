//! What a database is in the set of a queue's name, and what is wrong with that. Pure.

use serde::Serialize;

use super::member::MemberFacts;
use super::operation::OperationFacts;
use super::reason::{Reason, ReasonKind, Severity};
use crate::output::seconds;

/// How many tables are named whose triggers are not as the role asks; of further tables only the number is told.
const TOLD_TABLES: usize = 5;

/// What a database is in the set of a queue's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleFacts {
    /// provider, fenced, standby, reader, or copy: the database was restored elsewhere.
    pub role: &'static str,
    /// The database's identity as a node: a number, given as text because it may be above 2^53; null: what is installed
    /// does not tell.
    pub node: Option<String>,
    /// What operators call the node; null: nobody has said.
    pub name: Option<String>,
    /// Seconds since the role became this one; null: it follows, and has no role.
    pub since_seconds: Option<f64>,
    /// The reign that the role belongs to; 0: it follows, and has no role.
    pub term: i64,
    /// The node that it reads from, by name or number; null: none.
    pub follows: Option<String>,
    /// Why the database was fenced, if somebody has said why.
    pub reason: Option<String>,
    /// The role of the server that set this role; null: it has no role.
    pub set_by: Option<String>,
    /// The tick that shows all that was written before the fence; null where there is none.
    pub final_tick: Option<i64>,
    /// Some tables of a provider may still refuse writes.
    pub opening: bool,
    /// Where tables are not as the role asks: `schema.table: what is wrong`.
    pub problems: Vec<String>,
    /// The other nodes of the set.
    pub members: Vec<MemberFacts>,
    /// The operation that moves the set's provider; null: none runs.
    pub operation: Option<OperationFacts>,
    /// Which events programs beside the node have not been told, because the command has failed; null: it has not.
    pub untold: Option<String>,
    /// What the database has taken that the later provider never had, and that waits for a person; null: nothing.
    pub lost: Option<String>,
}

impl RoleFacts {
    /// What is known of a node that follows without a role.
    pub fn without_role(role: &'static str) -> RoleFacts {
        RoleFacts {
            role,
            node: None,
            name: None,
            since_seconds: None,
            term: 0,
            follows: None,
            reason: None,
            set_by: None,
            final_tick: None,
            opening: false,
            problems: Vec::new(),
            members: Vec::new(),
            operation: None,
            untold: None,
            lost: None,
        }
    }

    /// What the node is called; none: nothing.
    pub fn title(&self) -> Option<&str> {
        self.name.as_deref().or(self.node.as_deref())
    }

    /// Whether applications write here.
    pub fn serves(&self) -> bool {
        self.role == "provider"
    }

    /// `fenced for 3 min 20 s by postgres, term 2, tick 17 is the final one: new disk`.
    pub fn describe(&self) -> String {
        let mut text = self.role.to_owned();
        if let Some(since) = self.since_seconds {
            text.push_str(&format!(" for {}", seconds(since)));
        }
        if let (Some(by), "fenced") = (&self.set_by, self.role) {
            text.push_str(&format!(" by {by}"));
        }
        if self.term > 0 {
            text.push_str(&format!(", term {}", self.term));
        }
        if let Some(upstream) = &self.follows {
            text.push_str(&format!(", follows {upstream}"));
        }
        if let Some(tick) = self.final_tick {
            text.push_str(&format!(", tick {tick} is the final one"));
        }
        if let Some(reason) = &self.reason {
            text.push_str(&format!(": {reason}"));
        }
        text
    }

    /// The reasons why the role is not healthy. `subject` is the database, such as `provider`.
    pub fn reasons(&self, subject: &str) -> Vec<Reason> {
        let new = |severity, kind, what: String| Reason::new(severity, kind, subject, what);
        let mut found = Vec::new();
        match self.role {
            "fenced" => {
                let what = format!("takes no writes: {}", self.describe());
                let reason = new(Severity::Warning, ReasonKind::Fence, what);
                found.push(reason.advised("trunkline unfence QUEUE"));
            }
            "copy" => {
                let what = "was restored elsewhere, or made by pg_upgrade: it serves nobody";
                let reason = new(Severity::Critical, ReasonKind::Fence, what.to_owned());
                found
                    .push(reason.advised(
                        "if it is the node that it was: select trunkline.keep_identity()",
                    ));
            }
            _ => {}
        }
        if self.opening {
            let what = "some tables refuse writes still: others hold their locks".to_owned();
            let reason = new(Severity::Warning, ReasonKind::Fence, what);
            found.push(reason.advised("trunkline unfence QUEUE goes on; so does the ticker"));
        }
        if !self.problems.is_empty() {
            let more = self.problems.len().saturating_sub(TOLD_TABLES);
            let mut told: Vec<String> = self.problems.iter().take(TOLD_TABLES).cloned().collect();
            if more > 0 {
                told.push(format!("and {more} more"));
            }
            let reason = new(Severity::Critical, ReasonKind::Fence, told.join("; "));
            found.push(reason.advised("trunkline fence QUEUE, or unfence QUEUE, puts it right"));
        }
        found.extend(self.members.iter().filter_map(|one| one.reason(subject)));
        let operation = self.operation.iter();
        found.extend(operation.filter_map(|one| one.reason(subject)));
        if let Some(lost) = &self.lost {
            let what = format!("the provider never had {lost}");
            let reason = new(Severity::Critical, ReasonKind::Set, what);
            found.push(reason.advised("replay lost shows them; replay rejoin gives them up"));
        }
        if let Some(untold) = &self.untold {
            let reason = new(Severity::Warning, ReasonKind::Set, untold.clone());
            found.push(
                reason.advised("mend event_notification_command; trunkline events lists them"),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(role: &'static str) -> RoleFacts {
        RoleFacts {
            since_seconds: Some(200.0),
            term: 2,
            set_by: Some("postgres".into()),
            ..RoleFacts::without_role(role)
        }
    }

    #[test]
    fn a_fence_a_copy_and_open_tables_never_look_healthy() {
        assert!(role("provider").reasons("provider").is_empty());
        let fenced = RoleFacts {
            reason: Some("new disk".into()),
            final_tick: Some(17),
            ..role("fenced")
        };
        assert_eq!(
            fenced.describe(),
            "fenced for 3 min 20 s by postgres, term 2, tick 17 is the final one: new disk"
        );
        assert_eq!(fenced.reasons("provider")[0].severity, Severity::Warning);
        let standby = RoleFacts {
            follows: Some("castor".into()),
            ..role("standby")
        };
        assert_eq!(
            standby.describe(),
            "standby for 3 min 20 s, term 2, follows castor"
        );
        assert_eq!(RoleFacts::without_role("reader").describe(), "reader");
        let copy = role("copy").reasons("provider");
        assert_eq!(copy[0].severity, Severity::Critical);
        let problems = (0..7).map(|number| format!("t{number}: takes writes"));
        let holed = RoleFacts {
            problems: problems.collect(),
            ..role("fenced")
        };
        let found = holed.reasons("provider");
        assert_eq!(found[1].severity, Severity::Critical);
        assert!(
            found[1].what.ends_with("t4: takes writes; and 2 more"),
            "{}",
            found[1].what
        );
        assert!(!role("fenced").serves() && role("provider").serves());
    }
}
