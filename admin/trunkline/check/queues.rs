//! The findings about queues and their consumers. Pure: judges what status tells.

use admin::output::{bytes, seconds};
use admin::status::verdict::{self, ReasonKind, TickFacts};
use admin::status::{
    CONSUMER_LIMITS, ConsumerStatus, HOLDER_LIMITS, HolderStatus, QueuePace, QueueStatus,
};

use super::finding::{Check, Finding, Level, Limits, Unit};
use super::{members, roles};

/// How late a rotation may be: rotation is checked every `maint_delay`, 600 s by default.
const ROTATION_GRACE_SECONDS: f64 = 900.0;

/// The findings of one check about the queues of a database.
pub(crate) fn findings(
    check: Check,
    database: &str,
    queues: &[QueueStatus],
    limits: Limits,
) -> Vec<Finding> {
    let of = |queue: &QueueStatus| format!("{database}/{}", queue.name);
    let mut found = Vec::new();
    for queue in queues {
        let Some(pace) = &queue.pace else { continue };
        match check {
            Check::Ticker => {
                let ticks = queue.ticks.iter();
                found.extend(ticks.map(|ticks| ticker(of(queue), queue, ticks, limits)));
            }
            Check::Consumers => found.extend(queue.consumer_list.iter().filter_map(|consumer| {
                self::consumer(
                    format!("{}/{}", of(queue), consumer.name),
                    queue,
                    consumer,
                    limits,
                )
            })),
            Check::Rotation => found.push(rotation(of(queue), queue, pace, limits)),
            Check::Size => found.push(Finding::measured(
                check,
                of(queue),
                queue.bytes as f64,
                limits,
                bytes(queue.bytes),
            )),
            Check::Holders => found.push(holders(of(queue), queue, limits)),
            Check::Capture => found.push(capture(of(queue), queue)),
            Check::Role => found.push(roles::role(of(queue), queue.role.as_ref())),
            Check::Fence => found.push(roles::fence(of(queue), queue.role.as_ref())),
            Check::Operation => found.push(roles::operation(of(queue), queue.role.as_ref())),
            Check::Lost => found.push(roles::lost(of(queue), queue.role.as_ref())),
            Check::Members => found.push(members::members(
                of(queue),
                queue.role.as_ref(),
                &queue.consumer_list,
            )),
            Check::Promotable | Check::Archive | Check::Replication | Check::Versions => {}
        }
    }
    found
}

/// The finding about capture. Each problem is critical: rows may be missing, and no other check reports it.
fn capture(of: String, queue: &QueueStatus) -> Finding {
    let problems = queue.capture_problems.iter();
    let all: Vec<_> = problems
        .map(|one| format!("{}: {}", one.table, one.problem))
        .collect();
    let (level, message) = if all.is_empty() {
        (
            Level::Ok,
            "all captured tables are captured whole".to_owned(),
        )
    } else {
        (Level::Critical, all.join("; "))
    };
    Finding::new(Check::Capture, of, level, message)
}

/// The finding about holders; the oldest holder counts. A consumer above the queue's limit is a warning. A consumer
/// that was detached is critical: it has lost events.
fn holders(of: String, queue: &QueueStatus, limits: Limits) -> Finding {
    let holding = || {
        queue
            .holder_list
            .iter()
            .filter(|one| one.kind != "detached")
    };
    let oldest = holding()
        .filter_map(|one| one.held_seconds)
        .fold(0.0, f64::max);
    let held = holding()
        .filter_map(|one| one.held_bytes)
        .max()
        .unwrap_or(0);
    let message = match queue.holder_list.as_slice() {
        [] => "nothing holds it".to_owned(),
        list => {
            let all: Vec<_> = list.iter().map(HolderStatus::describe).collect();
            format!("held by {}", all.join("; "))
        }
    };
    let least = queue
        .holder_list
        .iter()
        .map(|one| match (one.kind, one.over_limit) {
            ("detached", _) => Level::Critical,
            (_, true) => Level::Warning,
            (_, false) => Level::Ok,
        });
    let least = least.max().unwrap_or(Level::Ok);
    let limits = limits.or(Limits::new(HOLDER_LIMITS.0, HOLDER_LIMITS.1));
    Finding::measured(Check::Holders, of, oldest, limits, message)
        .at_least(least)
        .count("held", held as f64, Unit::Bytes)
}

fn ticker(of: String, queue: &QueueStatus, ticks: &TickFacts, limits: Limits) -> Finding {
    // What is wrong with the role is told by checks of its own.
    let reasons = || {
        queue
            .reasons
            .iter()
            .filter(|one| !matches!(one.kind, ReasonKind::Fence | ReasonKind::Set))
    };
    let what = reasons().map(|reason| match &reason.advice {
        Some(advice) => format!("{} ({advice})", reason.what),
        None => reason.what.clone(),
    });
    let what: Vec<String> = what.collect();
    let Some(age) = queue.tick_age_seconds else {
        return Finding::new(Check::Ticker, of, Level::Critical, what.join("; "));
    };
    let message = if what.is_empty() {
        format!("last tick {} ago", seconds(age))
    } else {
        what.join("; ")
    };
    // The operator's own limits replace those of the queue. Faults other than a tick's age count in any case.
    let given = limits != Limits::default();
    let counts =
        reasons().filter(|reason| !given || ticks.paused || reason.kind != ReasonKind::NoTick);
    let least = verdict::worst(counts).map_or(Level::Ok, Level::of);
    // A paused queue has no limits of its own.
    let usual = ticks.limits().map(|(warn, crit)| Limits::new(warn, crit));
    Finding::measured(
        Check::Ticker,
        of,
        age,
        limits.or(usual.unwrap_or_default()),
        message,
    )
    .at_least(least)
    .count("new_events", ticks.pending as f64, Unit::Count)
}

/// The finding about a consumer; none for an idle member of a cooperating consumer, which has no position.
fn consumer(
    of: String,
    queue: &QueueStatus,
    consumer: &ConsumerStatus,
    limits: Limits,
) -> Option<Finding> {
    let lag = consumer.lag_behind(queue)?;
    let events = consumer.pending_events.unwrap_or(0);
    let message = format!(
        "lag {}, {events} events, seen {} ago",
        seconds(lag),
        seconds(consumer.last_seen_seconds)
    );
    let limits = limits.or(Limits::new(CONSUMER_LIMITS.0, CONSUMER_LIMITS.1));
    Some(
        Finding::measured(Check::Consumers, of, lag, limits, message).count(
            "pending_events",
            events as f64,
            Unit::Count,
        ),
    )
}

fn rotation(of: String, queue: &QueueStatus, pace: &QueuePace, limits: Limits) -> Finding {
    let (age, period) = (pace.rotated_seconds_ago, pace.rotation_period_seconds);
    let usual = Limits::new(
        2.0 * period + ROTATION_GRACE_SECONDS,
        4.0 * period + ROTATION_GRACE_SECONDS,
    );
    let message = format!(
        "rotated {} ago, every {}, {} kept",
        seconds(age),
        seconds(period),
        bytes(queue.bytes)
    );
    Finding::measured(Check::Rotation, of, age, limits.or(usual), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueStatus {
        QueueStatus {
            name: "q".into(),
            last_tick: Some(10),
            tick_age_seconds: Some(30.0),
            pending_events: Some(2),
            consumers: 1,
            bytes: 5000,
            error: None,
            reasons: Vec::new(),
            ticks: None,
            pace: Some(QueuePace {
                events_per_second: Some(1.0),
                tables: 3,
                current_table: 0,
                rotation_period_seconds: 7200.0,
                rotated_seconds_ago: 100.0,
                ticker_max_count: 500,
                ticker_max_lag_seconds: 3.0,
                ticker_idle_period_seconds: 60.0,
                ticker_paused: false,
                external_ticker: false,
                insert_disabled: false,
                max_tables: 12,
                retention_age_seconds: 86_400.0,
                retention_bytes: 0,
                retention_action: "warn".into(),
            }),
            consumer_list: vec![ConsumerStatus {
                name: "c".into(),
                last_tick: Some(10),
                lag_seconds: Some(9999.0),
                last_seen_seconds: 1.0,
                pending_events: Some(0),
                batch: None,
            }],
            holder_list: Vec::new(),
            capture_problems: Vec::new(),
            role: None,
        }
    }

    fn only(check: Check, queue: QueueStatus, limits: Limits) -> Finding {
        let mut found = findings(check, "db", &[queue], limits);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    /// A queue as its status tells it, with these facts of its ticks.
    fn ticked(facts: TickFacts) -> QueueStatus {
        QueueStatus {
            tick_age_seconds: facts.age,
            reasons: facts.reason().into_iter().collect(),
            ticks: Some(facts),
            ..queue()
        }
    }

    fn facts(age: Option<f64>) -> TickFacts {
        TickFacts {
            age,
            pending: 0,
            max_lag: 3.0,
            idle_period: 60.0,
            paused: false,
            external: false,
            ticker: Some(7),
        }
    }

    #[test]
    fn a_tick_is_late_by_the_queues_own_periods() {
        let of = |facts| only(Check::Ticker, ticked(facts), Limits::default());
        let level = |age| of(facts(Some(age))).status;
        assert_eq!(level(70.0), Level::Ok);
        assert_eq!(level(80.0), Level::Warning);
        assert_eq!(level(200.0), Level::Critical);
        assert_eq!(of(facts(None)).status, Level::Critical);
        // Waiting events make a tick due sooner; and if no ticker is connected, a late tick is critical at once.
        let waiting = TickFacts {
            pending: 5,
            ..facts(Some(30.0))
        };
        assert_eq!(of(waiting.clone()).status, Level::Warning);
        let alone = TickFacts {
            ticker: None,
            ..waiting
        };
        assert_eq!(of(alone).status, Level::Critical);
        let given = Limits {
            warn: None,
            crit: Some(crate::check::range::Range::up_to(20.0)),
        };
        let found = only(Check::Ticker, ticked(facts(Some(30.0))), given);
        assert_eq!(found.status, Level::Critical);
        let found = only(Check::Ticker, ticked(facts(Some(10.0))), given);
        assert_eq!(found.status, Level::Ok);
    }

    #[test]
    fn a_paused_ticker_is_a_warning_and_an_external_one_is_not_late() {
        let of = |facts| only(Check::Ticker, ticked(facts), Limits::default());
        let paused = TickFacts {
            paused: true,
            ..facts(Some(30.0))
        };
        assert_eq!(of(paused).status, Level::Warning);
        let external = TickFacts {
            external: true,
            ..facts(Some(1e6))
        };
        assert_eq!(of(external).status, Level::Ok);
    }

    #[test]
    fn a_consumer_that_stands_at_the_last_tick_does_not_lag_however_old_it_is() {
        let level = only(Check::Consumers, queue(), Limits::default());
        assert_eq!(level.status, Level::Ok);
        let mut behind = queue();
        behind.consumer_list[0].last_tick = Some(9);
        let finding = only(Check::Consumers, behind, Limits::default());
        assert_eq!(
            (finding.status, finding.of.as_str()),
            (Level::Critical, "db/q/c")
        );
        let mut idle_member = queue();
        idle_member.consumer_list[0].last_tick = None;
        assert!(findings(Check::Consumers, "db", &[idle_member], Limits::default()).is_empty());
    }

    #[test]
    fn the_oldest_holder_counts_and_a_detached_consumer_is_critical() {
        let holder = |kind, held_seconds, over_limit| HolderStatus {
            kind,
            name: Some("x".into()),
            held_seconds: Some(held_seconds),
            held_bytes: Some(100),
            over_limit,
            pid: None,
            xid: None,
            detail: None,
        };
        let level = |list: Vec<HolderStatus>| {
            let held = QueueStatus {
                holder_list: list,
                capture_problems: Vec::new(),
                role: None,
                ..queue()
            };
            only(Check::Holders, held, Limits::default()).status
        };
        assert_eq!(level(vec![]), Level::Ok);
        assert_eq!(level(vec![holder("lock", 60.0, false)]), Level::Ok);
        let two = vec![
            holder("lock", 60.0, false),
            holder("transaction", 4000.0, false),
        ];
        assert_eq!(level(two), Level::Warning);
        assert_eq!(level(vec![holder("prepared", 1e5, false)]), Level::Critical);
        assert_eq!(level(vec![holder("consumer", 1.0, true)]), Level::Warning);
        assert_eq!(level(vec![holder("detached", 1.0, true)]), Level::Critical);
    }

    #[test]
    fn a_rotation_that_is_held_up_is_told_with_the_bytes() {
        let mut held = queue();
        held.pace.as_mut().unwrap().rotated_seconds_ago = 20_000.0;
        let finding = only(Check::Rotation, held, Limits::default());
        assert_eq!(finding.status, Level::Warning);
        assert!(finding.message.contains("4 kB"), "{}", finding.message);
    }
}
