//! The findings of the check `replication` about a replay's subscribers. Pure: judges what status tells.

use admin::output::seconds;
use admin::status::verdict::{self, LAG_LIMITS, Reason};
use admin::status::{ReplayStatus, SubscriberStatus};

use super::finding::{Check, Finding, Level, Limits, Unit};

/// How many reasons a finding's line names; of further reasons only the number is told.
const TOLD: usize = 5;

/// One finding for each subscriber, and one for a provider that is not healthy. The status was judged by `limits`.
pub(crate) fn findings(replay: &ReplayStatus, limits: Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    let of_provider = &replay.provider.reasons;
    if let Some(severity) = verdict::worst(of_provider) {
        let of = format!("{}/provider", replay.job);
        let message = sentences(of_provider);
        found.push(Finding::new(
            Check::Replication,
            of,
            Level::of(severity),
            message,
        ));
    }
    let limits = limits.or(Limits::new(LAG_LIMITS.0, LAG_LIMITS.1));
    found.extend(replay.subscribers.iter().map(|subscriber| {
        // The consumer's name is JOB, or JOB/NAME if the replay has several subscribers.
        subscriber_finding(subscriber.consumer.clone(), subscriber, limits)
    }));
    found
}

/// The worst reasons, each with what to do about it.
fn sentences(reasons: &[Reason]) -> String {
    let told = reasons.iter().take(TOLD).map(|reason| {
        let advice = reason.advice.iter().map(|text| format!(" ({text})"));
        reason.sentence() + &advice.collect::<String>()
    });
    let mut told: Vec<String> = told.collect();
    if reasons.len() > TOLD {
        told.push(format!("and {} more", reasons.len() - TOLD));
    }
    told.join("; ")
}

fn subscriber_finding(of: String, subscriber: &SubscriberStatus, limits: Limits) -> Finding {
    let mut words = vec![subscriber.state.as_str().to_owned()];
    if let Some(lag) = subscriber.lag_seconds {
        words.push(format!("lag {}", seconds(lag)));
    }
    if !subscriber.reasons.is_empty() {
        words.push(sentences(&subscriber.reasons));
    }
    let message = words.join(", ");
    let least = verdict::worst(&subscriber.reasons).map_or(Level::Ok, Level::of);
    let finding = match subscriber.lag_seconds {
        Some(lag) => Finding::measured(Check::Replication, of, lag, limits, message),
        None => Finding::new(Check::Replication, of, least, message),
    };
    let tables = |state: &str| subscriber.tables.get(state).copied().unwrap_or(0) as f64;
    let all: u64 = subscriber.tables.values().sum();
    finding
        .at_least(least)
        .count("tables_not_ok", all as f64 - tables("ok"), Unit::Count)
        .count("tables_parked", tables("parked"), Unit::Count)
        .count("conflicts", subscriber.conflicts as f64, Unit::Count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use admin::status::verdict::{ReasonKind, Severity};
    use admin::status::{ProviderStatus, SubscriberState};

    use super::*;

    fn status(reasons: Vec<Reason>, of_provider: Vec<Reason>) -> Vec<Finding> {
        let subscriber = SubscriberStatus {
            role: None,
            name: None,
            consumer: "j".into(),
            reachable: true,
            epoch: Some("1".into()),
            tick: Some(5),
            lag_seconds: Some(0.5),
            lag_ticks: Some(1),
            pending_events: Some(1),
            state: SubscriberState::Level,
            paused: false,
            conflicts: 3,
            recent_conflicts: 0,
            batch_rows: None,
            follows: None,
            source: None,
            left: Vec::new(),
            last_error: None,
            reasons,
            tables: BTreeMap::from([("ok".into(), 2), ("parked".into(), 1)]),
            table_list: Vec::new(),
            archive: false,
            conflict_list: Vec::new(),
        };
        let replay = ReplayStatus {
            job: "j".into(),
            queue: "q".into(),
            running: true,
            pid: None,
            pid_problem: None,
            provider: ProviderStatus {
                reasons: of_provider,
                ..ProviderStatus::default()
            },
            subscribers: vec![subscriber],
        };
        findings(&replay, Limits::default())
    }

    fn reason(severity: Severity, what: &str) -> Reason {
        Reason {
            severity,
            kind: ReasonKind::Parked,
            subject: "public.t".into(),
            what: what.into(),
            advice: Some("do it".into()),
        }
    }

    #[test]
    fn a_finding_is_as_bad_as_the_worst_reason_and_names_it() {
        let fine = status(Vec::new(), Vec::new());
        assert_eq!((fine.len(), fine[0].status), (1, Level::Ok));
        let bad = status(
            vec![reason(Severity::Critical, "parked: no column x")],
            vec![reason(Severity::Warning, "late")],
        );
        assert_eq!(bad[0].status, Level::Warning);
        assert_eq!(bad[0].message, "public.t: late (do it)");
        assert_eq!(bad[1].status, Level::Critical);
        assert_eq!(
            bad[1].message,
            "level, lag 0.50 s, public.t: parked: no column x (do it)"
        );
        let many = status(vec![reason(Severity::Warning, "x"); 7], Vec::new());
        assert!(many[0].message.ends_with("; and 2 more"), "{many:?}");
    }
}
