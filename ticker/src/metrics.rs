//! The state of a ticker as Prometheus metrics. Pure.

use std::collections::BTreeMap;

use admin::http::Gauges;
use admin::status::verdict::Severity;
use admin::status::{QueueStatus, TickerStatus};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use crate::stats::Stats;

/// All metrics.
pub(crate) fn registry(status: &TickerStatus, stats: &Stats) -> Registry {
    let mut registry = Registry::with_prefix_and_labels(
        "trunkline_ticker",
        [("job_name".into(), status.job.clone().into())].into_iter(),
    );
    health(&mut registry, status);
    queues(&mut registry, status);
    consumers(&mut registry, status);
    holders(&mut registry, status);
    for (name, help, count) in [
        (
            "ticks",
            "Ticks made since the program began",
            stats.all_ticks(),
        ),
        (
            "errors",
            "Failures logged since the program began",
            stats.all_errors(),
        ),
    ] {
        registry.register(name, help, ConstCounter::new(count));
    }
    registry
}

fn worth(severity: Severity) -> f64 {
    match severity {
        Severity::Warning => 1.0,
        Severity::Critical => 2.0,
    }
}

/// The health as one number, and the kinds of the reasons; their texts are in `/status` only, because they change from
/// one moment to the next.
fn health(registry: &mut Registry, status: &TickerStatus) {
    let health = Gauges::of(registry, "health", "0 all well, 1 warning, 2 critical");
    health.set(&[], Some(status.severity().map_or(0.0, worth)));
    let found = status.reasons();
    let mut worst: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
    for (of, reason) in &found {
        let key = (of.as_str(), reason.kind.as_str(), reason.subject.as_str());
        let worth = worth(reason.severity);
        let known = worst.entry(key).or_insert(worth);
        *known = worth.max(*known);
    }
    let reasons = Gauges::of(
        registry,
        "reason",
        "What is not as it should be, by kind: 1 warning, 2 critical",
    );
    for ((of, kind, subject), worth) in worst {
        reasons.set(
            &[("of", of), ("kind", kind), ("subject", subject)],
            Some(worth),
        );
    }
    let reachable = Gauges::of(
        registry,
        "database_reachable",
        "Whether the database answers",
    );
    for database in &status.databases {
        let is = if database.error.is_none() { 1.0 } else { 0.0 };
        reachable.set(&[("database", &database.name)], Some(is));
    }
}

/// Each queue with the labels of its own.
fn labelled(status: &TickerStatus) -> impl Iterator<Item = ([(&str, &str); 2], &QueueStatus)> {
    status.databases.iter().flat_map(|database| {
        let queues = database.queues.iter();
        queues.map(|queue| {
            (
                [
                    ("database", database.name.as_str()),
                    ("queue", queue.name.as_str()),
                ],
                queue,
            )
        })
    })
}

fn queues(registry: &mut Registry, status: &TickerStatus) {
    let mut gauge = |name: &str, help: &str| Gauges::of(registry, name, help);
    let last_tick = gauge("queue_last_tick", "Newest tick of the queue");
    let age = gauge(
        "queue_tick_age_seconds",
        "Seconds since the newest tick of the queue",
    );
    let pending = gauge("queue_pending_events", "Events that no tick shows yet");
    let rate = gauge(
        "queue_events_per_second",
        "Events a second over the last ticks",
    );
    let bytes = gauge("queue_size_bytes", "Bytes on disk of the queue's events");
    let rotated = gauge(
        "queue_rotation_age_seconds",
        "Seconds since the last rotation",
    );
    let problems = gauge(
        "queue_capture_problems",
        "Captured tables whose changes may be missing from the queue",
    );
    for (labels, queue) in labelled(status) {
        last_tick.set(&labels, queue.last_tick.map(|tick| tick as f64));
        age.set(&labels, queue.tick_age_seconds);
        pending.set(&labels, queue.pending_events.map(|events| events as f64));
        let Some(pace) = &queue.pace else { continue };
        rate.set(&labels, pace.events_per_second);
        bytes.set(&labels, Some(queue.bytes as f64));
        rotated.set(&labels, Some(pace.rotated_seconds_ago));
        problems.set(&labels, Some(queue.capture_problems.len() as f64));
    }
}

fn consumers(registry: &mut Registry, status: &TickerStatus) {
    let mut gauge = |name: &str, help: &str| Gauges::of(registry, name, help);
    let tick = gauge("consumer_tick", "Last tick that the consumer has finished");
    let lag = gauge(
        "consumer_lag_seconds",
        "Age of that tick, 0 for who has finished the newest one",
    );
    let pending = gauge(
        "consumer_pending_events",
        "Events between that tick and the newest one",
    );
    let seen = gauge(
        "consumer_last_seen_seconds",
        "Seconds since the consumer did anything",
    );
    for (of_queue, queue) in labelled(status) {
        for one in &queue.consumer_list {
            let [database, name] = of_queue;
            let labels = [database, name, ("consumer", one.name.as_str())];
            tick.set(&labels, one.last_tick.map(|tick| tick as f64));
            lag.set(&labels, one.lag_behind(queue));
            pending.set(&labels, one.pending_events.map(|events| events as f64));
            seen.set(&labels, Some(one.last_seen_seconds));
        }
    }
}

/// What holds a queue's space, by kind: the oldest, and the one that holds the most.
fn holders(registry: &mut Registry, status: &TickerStatus) {
    let seconds = Gauges::of(
        registry,
        "queue_held_seconds",
        "Since when the queue's space is held, the longest of a kind",
    );
    let bytes = Gauges::of(
        registry,
        "queue_held_bytes",
        "Bytes that are held, the most of a kind",
    );
    for (of_queue, queue) in labelled(status) {
        // The usual kinds are there always, so that an alert has something to compare with.
        let mut kinds = BTreeMap::from([
            ("consumer", (0.0_f64, 0.0_f64)),
            ("transaction", (0.0, 0.0)),
        ]);
        for one in &queue.holder_list {
            let known = kinds.entry(one.kind).or_default();
            known.0 = known.0.max(one.held_seconds.unwrap_or(0.0));
            known.1 = known.1.max(one.held_bytes.unwrap_or(0) as f64);
        }
        for (kind, (longest, most)) in kinds {
            let [database, name] = of_queue;
            let labels = [database, name, ("kind", kind)];
            seconds.set(&labels, Some(longest));
            bytes.set(&labels, Some(most));
        }
    }
}
