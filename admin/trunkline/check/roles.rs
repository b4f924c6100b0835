//! The findings about what a database is in the set of a queue. Pure: judges what status tells.

use admin::status::verdict::{MemberFacts, RoleFacts};

use super::finding::{Check, Finding, Level};

/// The finding about the role: a fenced provider is a warning, because nobody can write; a copy is critical, because
/// it serves nobody until a person says what it is. So are two providers, and two servers of one identity. Events that
/// programs have not been told are a warning.
pub(crate) fn role(of: String, role: Option<&RoleFacts>) -> Finding {
    let (level, message) = match role {
        None => (Level::Ok, "is in no set".to_owned()),
        Some(role) => {
            let level = match role.role {
                "copy" => Level::Critical,
                "fenced" => Level::Warning,
                _ => Level::Ok,
            };
            let problems = role.members.iter().filter_map(MemberFacts::told);
            let problems: Vec<String> = problems.collect();
            match (problems.is_empty(), &role.untold) {
                (true, None) => (level, role.describe()),
                (true, Some(untold)) => {
                    let message = format!("{}; {untold}", role.describe());
                    (level.max(Level::Warning), message)
                }
                (false, _) => (Level::Critical, problems.join("; ")),
            }
        }
    };
    Finding::new(Check::Role, of, level, message)
}

/// The finding about the fence. Each table that takes writes against the role is critical: what is written there is
/// not on the next provider. So is a table of the provider that refuses writes, unless it is just being opened.
pub(crate) fn fence(of: String, role: Option<&RoleFacts>) -> Finding {
    let (level, message) = match role {
        None => (Level::Ok, "is in no set".to_owned()),
        Some(role) if !role.problems.is_empty() => (Level::Critical, role.problems.join("; ")),
        Some(role) if role.opening => {
            let message = "some tables refuse writes still: others hold their locks";
            (Level::Warning, message.to_owned())
        }
        Some(role) => (Level::Ok, format!("all tables are as {} asks", role.role)),
    };
    Finding::new(Check::Fence, of, level, message)
}

/// The finding about the operation that moves the set's provider: critical if it was left by its command.
pub(crate) fn operation(of: String, role: Option<&RoleFacts>) -> Finding {
    let (level, message) = match role.and_then(|role| role.operation.as_ref()) {
        None => (Level::Ok, "none runs".to_owned()),
        Some(one) if one.is_left() => (Level::Critical, one.describe()),
        Some(one) => (Level::Ok, one.describe()),
    };
    Finding::new(Check::Operation, of, level, message)
}

/// The finding about what the database has taken as a provider of the past: critical until a person has decided.
pub(crate) fn lost(of: String, role: Option<&RoleFacts>) -> Finding {
    let (level, message) = match role.and_then(|role| role.lost.as_ref()) {
        None => (Level::Ok, "nothing waits".to_owned()),
        Some(lost) => (
            Level::Critical,
            format!("the provider never had {lost}: replay lost, replay rejoin"),
        ),
    };
    Finding::new(Check::Lost, of, level, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_writes_against_the_role_is_critical() {
        let facts = |role: &'static str, opening, problems: &[&str]| RoleFacts {
            opening,
            problems: problems.iter().map(|text| (*text).to_owned()).collect(),
            ..RoleFacts::without_role(role)
        };
        let level = |facts: &RoleFacts| {
            let of = || "db1/q".to_owned();
            (
                role(of(), Some(facts)).status,
                fence(of(), Some(facts)).status,
            )
        };
        assert_eq!(
            level(&facts("provider", false, &[])),
            (Level::Ok, Level::Ok)
        );
        assert_eq!(
            level(&facts("provider", true, &[])),
            (Level::Ok, Level::Warning)
        );
        assert_eq!(
            level(&facts("fenced", false, &[])),
            (Level::Warning, Level::Ok)
        );
        let holed = facts("fenced", false, &["public.t takes writes"]);
        assert_eq!(level(&holed), (Level::Warning, Level::Critical));
        assert_eq!(level(&facts("copy", false, &[])).0, Level::Critical);
        let rival = MemberFacts {
            node: "17".into(),
            name: None,
            role: "provider",
            since_seconds: None,
            term: 1,
            follows: None,
            consumer: None,
            behind_ticks: None,
            heard_seconds: 1.0,
            problem: Some("two providers of term 1".into()),
        };
        let torn = RoleFacts {
            members: vec![rival],
            ..facts("provider", false, &[])
        };
        let found = role(String::new(), Some(&torn));
        assert_eq!(found.status, Level::Critical);
        assert_eq!(found.message, "node 17: two providers of term 1");
        assert_eq!(role(String::new(), None).status, Level::Ok);
        let ahead = RoleFacts {
            lost: Some("2 changes".into()),
            ..facts("fenced", false, &[])
        };
        assert_eq!(lost(String::new(), Some(&ahead)).status, Level::Critical);
        assert_eq!(lost(String::new(), Some(&torn)).status, Level::Ok);
        let silent = RoleFacts {
            untold: Some("3 events are not told".into()),
            ..facts("provider", false, &[])
        };
        let found = role(String::new(), Some(&silent));
        assert_eq!(found.status, Level::Warning);
        assert!(
            found.message.ends_with("; 3 events are not told"),
            "{}",
            found.message
        );
    }
}
