//! The findings about the other nodes of a set, and about whether a standby could take the provider's place. Pure:
//! judges what status tells.

use admin::output::seconds;
use admin::status::verdict::{MemberFacts, RoleFacts};
use admin::status::{ConsumerStatus, Promotable, ReplayStatus};

use super::finding::{Check, Finding, Level};

/// A consumer that a node has left is ended at the node's next meetings; after so many seconds without a word from it
/// nobody does.
const LEFT: f64 = 60.0;

/// The finding about the other nodes of a queue's set. What makes two providers of them is critical. A node that is
/// silent, that follows nobody, or that reads elsewhere while its consumer holds the queue, is a warning: writes go on,
/// and somebody would be missing when the provider dies, or the disk fills.
pub(crate) fn members(
    of: String,
    role: Option<&RoleFacts>,
    consumers: &[ConsumerStatus],
) -> Finding {
    let Some(role) = role else {
        return Finding::new(Check::Members, of, Level::Ok, "is in no set".to_owned());
    };
    let mut level = Level::Ok;
    let mut told = Vec::new();
    let mut wrong = |at: Level, what: String| {
        level = level.max(at);
        told.push(what);
    };
    for one in &role.members {
        if let Some(problem) = one.told() {
            wrong(Level::Critical, problem);
        }
        if one.is_silent() {
            let (name, since) = (one.title(), seconds(one.heard_seconds));
            let what = format!(
                "{name} is not heard for {since}: is its replay at work? If it is gone for ever: trunkline member \
                 remove {name}"
            );
            wrong(Level::Warning, what);
        } else if follows_nobody(one) {
            let what = format!("{} follows nobody: see replay status there", one.title());
            wrong(Level::Warning, what);
        } else if let Some(past) = of_the_past(one, role) {
            let what = format!(
                "{} follows {past}, which is no provider any more: see replay status there",
                one.title()
            );
            wrong(Level::Warning, what);
        }
        let mut left = consumers.iter();
        if let Some(left) = left.find(|consumer| is_left(one, role, consumer)) {
            wrong(
                Level::Warning,
                format!(
                    "consumer {} holds events for {}, which follows {}: trunkline consumer unregister --force",
                    left.name,
                    one.title(),
                    one.follows.as_deref().unwrap_or("nobody")
                ),
            );
        }
    }
    let message = match (told.is_empty(), role.members.is_empty()) {
        (true, true) => "no other node is known".to_owned(),
        (true, false) => {
            let all: Vec<String> = role.members.iter().map(describe).collect();
            all.join("; ")
        }
        (false, _) => told.join("; "),
    };
    Finding::new(Check::Members, of, level, message)
}

fn follows_nobody(one: &MemberFacts) -> bool {
    matches!(one.role, "standby" | "reader") && one.follows.is_none()
}

/// The node that another one reads from, as far as it is known here.
fn followed<'a>(one: &MemberFacts, role: &'a RoleFacts) -> Option<&'a MemberFacts> {
    let title = one.follows.as_deref()?;
    role.members.iter().find(|other| other.title() == title)
}

/// The highest term that is known here.
fn highest(role: &RoleFacts) -> i64 {
    let terms = role.members.iter().map(|one| one.term);
    terms.fold(role.term, i64::max)
}

/// The provider of the past that a node follows still; None: it follows none.
fn of_the_past<'a>(one: &MemberFacts, role: &'a RoleFacts) -> Option<&'a str> {
    let followed = followed(one, role)?;
    let was = matches!(followed.role, "provider" | "fenced") && followed.term < highest(role);
    was.then(|| followed.title())
}

/// Whether a consumer here is of a node that reads from another one, and does so no more. A node that is away, or that
/// follows a node of the past, has its consumer here for the way back: without it all has to be copied.
fn is_left(one: &MemberFacts, role: &RoleFacts, consumer: &ConsumerStatus) -> bool {
    let elsewhere =
        followed(one, role).is_some_and(|other| !other.is_silent() && other.term == highest(role));
    elsewhere
        && !one.is_silent()
        && one.consumer.as_deref() == Some(consumer.name.as_str())
        && consumer.last_seen_seconds > LEFT
}

/// `pollux: standby for 3 min 20 s, term 2, follows castor, 0 ticks behind`.
fn describe(one: &MemberFacts) -> String {
    let behind = one.behind_ticks;
    let behind = behind.map_or(String::new(), |ticks| format!(", {ticks} ticks behind"));
    format!("{}{behind}", one.describe())
}

/// The finding about the promotion of a replay's own database. Where it is no standby there is nothing to become. What
/// keeps a standby from it is a warning: the provider works, and nobody could take its place.
pub(crate) fn promotable(
    status: &ReplayStatus,
    asked: &Result<Promotable, String>,
) -> Vec<Finding> {
    let subscribers = status.subscribers.iter();
    let found = subscribers.map(|subscriber| {
        let of = subscriber.consumer.clone();
        let (level, message) = match asked {
            Err(why) => (Level::Unknown, why.clone()),
            Ok(asked) => match asked.no_standby() {
                Some(role) => (Level::Ok, format!("is {role}, and no standby")),
                None => match asked.answer(subscriber, None) {
                    Ok(text) => (Level::Ok, text),
                    Err(text) => (Level::Warning, format!("{text}{}", asked.advice())),
                },
            },
        };
        Finding::new(Check::Promotable, of, level, message)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, follows: Option<&str>, heard_seconds: f64) -> MemberFacts {
        MemberFacts {
            node: "17".into(),
            name: Some(name.into()),
            role: "standby",
            since_seconds: Some(12.0),
            term: 1,
            follows: follows.map(str::to_owned),
            consumer: Some(name.into()),
            behind_ticks: Some(0),
            heard_seconds,
            problem: None,
        }
    }

    #[test]
    fn who_is_missing_when_the_provider_dies_is_told_before() {
        let consumer = |last_seen_seconds| ConsumerStatus {
            name: "pollux".into(),
            last_tick: Some(10),
            lag_seconds: Some(0.0),
            last_seen_seconds,
            pending_events: Some(0),
            batch: None,
        };
        let judged = |one: MemberFacts, seen| {
            let helen = MemberFacts {
                consumer: None,
                ..member("helen", Some("castor"), 1.0)
            };
            let role = RoleFacts {
                name: Some("castor".into()),
                term: 1,
                members: vec![one, helen],
                ..RoleFacts::without_role("provider")
            };
            let found = members("db1/q".into(), Some(&role), &[consumer(seen)]);
            (found.status, found.message)
        };
        let well = judged(member("pollux", Some("castor"), 1.0), 900.0);
        let said = ["pollux", "helen"].map(|name| {
            format!("{name}: standby for 12 s, term 1, follows castor, 0 ticks behind")
        });
        assert_eq!(well, (Level::Ok, said.join("; ")));
        let told = |one, seen, words: &str| {
            let (level, message) = judged(one, seen);
            assert_eq!(level, Level::Warning, "{message}");
            assert!(message.contains(words), "{message}");
        };
        let silent = member("pollux", Some("castor"), 40.0);
        told(silent, 1.0, "pollux is not heard for 40 s");
        told(member("pollux", None, 1.0), 1.0, "pollux follows nobody");
        let turned = member("pollux", Some("helen"), 1.0);
        told(turned.clone(), 61.0, "consumer pollux holds events");
        assert_eq!(judged(turned, 1.0).0, Level::Ok, "it is just being ended");
        // The consumer of who is away, or has not turned yet, is there for his way back.
        let away = member("pollux", Some("helen"), 40.0);
        assert!(!judged(away, 61.0).1.contains("unregister"));
        let old = MemberFacts {
            role: "fenced",
            term: 0,
            ..member("helen", None, 1.0)
        };
        let set = RoleFacts {
            name: Some("castor".into()),
            term: 1,
            members: vec![member("pollux", Some("helen"), 1.0), old],
            ..RoleFacts::without_role("provider")
        };
        let found = members("db1/q".into(), Some(&set), &[consumer(61.0)]);
        let said = "pollux follows helen, which is no provider any more: see replay status there";
        assert_eq!((found.status, found.message), (Level::Warning, said.into()));
        let rival = MemberFacts {
            problem: Some("two providers of term 1".into()),
            ..member("pollux", Some("castor"), 1.0)
        };
        assert_eq!(judged(rival, 1.0).0, Level::Critical);
        let alone = RoleFacts::without_role("provider");
        let found = members(String::new(), Some(&alone), &[]);
        assert_eq!(found.status, Level::Ok);
        assert_eq!(found.message, "no other node is known");
        assert_eq!(members(String::new(), None, &[]).status, Level::Ok);
    }
}
