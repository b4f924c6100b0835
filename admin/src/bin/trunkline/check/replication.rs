//! What the check `replication` finds of a replay's subscribers. Pure: judges what status tells.

use admin::output::seconds;
use admin::status::{ReplayStatus, SubscriberState, SubscriberStatus};

use super::finding::{Check, Finding, Level, Limits, Unit};

/// Limits of a subscriber's lag where the operator gives none.
const LIMITS: (f64, f64) = (60.0, 600.0);

/// One finding a subscriber, and one if the provider is not in order.
pub(crate) fn findings(replay: &ReplayStatus, limits: Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(error) = &replay.provider.error {
        let of = format!("{}/provider", replay.job);
        found.push(Finding::new(
            Check::Replication,
            of,
            Level::Critical,
            error.clone(),
        ));
    }
    let limits = limits.or(Limits::new(LIMITS.0, LIMITS.1));
    found.extend(replay.subscribers.iter().map(|subscriber| {
        // JOB, or JOB/NAME where there are several.
        subscriber_finding(subscriber.consumer.clone(), subscriber, limits)
    }));
    found
}

fn subscriber_finding(of: String, subscriber: &SubscriberStatus, limits: Limits) -> Finding {
    let mut words = vec![subscriber.state.as_str().to_owned()];
    let least = match subscriber.state {
        SubscriberState::Level | SubscriberState::Behind => Level::Ok,
        SubscriberState::Starting | SubscriberState::Copying | SubscriberState::Paused => {
            Level::Warning
        }
        SubscriberState::Stopped | SubscriberState::Unreachable => Level::Critical,
    };
    let mut least = least;
    if let Some(lag) = subscriber.lag_seconds {
        words.push(format!("lag {}", seconds(lag)));
    }
    for (state, count) in subscriber.tables.iter().filter(|(state, _)| *state != "ok") {
        words.push(format!("{count} tables {state}"));
        least = least.max(match state.as_str() {
            "parked" => Level::Critical,
            _ => Level::Warning,
        });
    }
    if subscriber.recent_conflicts > 0 {
        words.push(format!(
            "{} conflicts in the last day",
            subscriber.recent_conflicts
        ));
        least = least.max(Level::Warning);
    }
    if let Some(error) = &subscriber.last_error {
        words.push(error.clone());
    }
    let message = words.join(", ");
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

    use admin::status::ProviderStatus;

    use super::*;

    fn level_one() -> SubscriberStatus {
        SubscriberStatus {
            name: None,
            consumer: "j".into(),
            reachable: true,
            epoch: Some(1),
            tick: Some(5),
            lag_seconds: Some(0.5),
            lag_ticks: Some(1),
            pending_events: Some(1),
            state: SubscriberState::Level,
            paused: false,
            conflicts: 3,
            recent_conflicts: 0,
            batch_rows: None,
            last_error: None,
            tables: BTreeMap::from([("ok".into(), 2)]),
            table_list: Vec::new(),
        }
    }

    fn status(subscriber: SubscriberStatus) -> Level {
        let replay = ReplayStatus {
            job: "j".into(),
            queue: "q".into(),
            running: true,
            pid: None,
            provider: ProviderStatus {
                reachable: true,
                last_tick: Some(6),
                error: None,
            },
            subscribers: vec![subscriber],
        };
        super::super::finding::worst(&findings(&replay, Limits::default()))
    }

    #[test]
    fn each_trouble_of_a_subscriber_is_as_bad_as_it_is() {
        let with = |change: fn(&mut SubscriberStatus)| {
            let mut subscriber = level_one();
            change(&mut subscriber);
            status(subscriber)
        };
        assert_eq!(with(|_| ()), Level::Ok);
        assert_eq!(with(|one| one.lag_seconds = Some(100.0)), Level::Warning);
        assert_eq!(with(|one| one.lag_seconds = Some(1000.0)), Level::Critical);
        assert_eq!(
            with(|one| one.state = SubscriberState::Paused),
            Level::Warning
        );
        assert_eq!(
            with(|one| one.state = SubscriberState::Stopped),
            Level::Critical
        );
        assert_eq!(with(|one| one.recent_conflicts = 1), Level::Warning);
        let copying = with(|one| one.tables.extend([("in-copy".into(), 1)]));
        assert_eq!(copying, Level::Warning);
        let parked = with(|one| one.tables.extend([("parked".into(), 1)]));
        assert_eq!(parked, Level::Critical);
    }
}
