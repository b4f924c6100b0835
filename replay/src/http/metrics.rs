//! The state of a job as Prometheus metrics. Pure.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use admin::http::Gauges;
use admin::status::verdict::{Reason, Severity};
use admin::status::{ReplayStatus, SubscriberStatus, TableStatus};
use prometheus_client::{metrics::counter::ConstCounter, registry::Registry};

use super::subject::Counted;

/// All metrics.
pub(super) fn registry(status: &ReplayStatus, counted: &Counted) -> Registry {
    let mut registry = Registry::with_prefix_and_labels(
        "trunkline_replay",
        [("job_name".into(), status.job.clone().into())].into_iter(),
    );
    let reachable = Gauges::of(
        &mut registry,
        "provider_reachable",
        "Whether the provider answers",
    );
    reachable.set(&[], Some(flag(status.provider.reachable)));
    let last_tick = Gauges::of(
        &mut registry,
        "provider_last_tick",
        "Newest tick of the queue",
    );
    last_tick.set(&[], status.provider.last_tick.map(number));
    let tick_age = Gauges::of(
        &mut registry,
        "provider_tick_age_seconds",
        "Seconds since the newest tick of the queue",
    );
    tick_age.set(&[], status.provider.tick_age_seconds);
    let bytes = Gauges::of(
        &mut registry,
        "provider_queue_size_bytes",
        "Bytes on disk of the queue's events",
    );
    bytes.set(&[], status.provider.bytes.map(number));
    health(&mut registry, status);
    subscribers(&mut registry, &status.subscribers);
    tables(&mut registry, &status.subscribers);
    for (consumer, totals) in counted {
        let labels = [("consumer".into(), consumer.clone().into())].into_iter();
        let of_consumer = registry.sub_registry_with_labels(labels);
        for (name, help, counter) in [
            ("batches", "Batches applied", &totals.batches),
            (
                "retries",
                "Transactions broken off for a passing reason and tried again",
                &totals.retries,
            ),
            ("events", "Events read and applied", &totals.events),
            ("rows", "Rows written", &totals.rows),
        ] {
            let counter = ConstCounter::new(counter.load(Ordering::Relaxed));
            of_consumer.register(name, help, counter);
        }
    }
    registry
}

/// The health as one number, and the kinds of the reasons. The texts of the reasons are in `/status` only, because they
/// change from one moment to the next.
fn health(registry: &mut Registry, status: &ReplayStatus) {
    let health = Gauges::of(registry, "health", "0 all well, 1 warning, 2 critical");
    health.set(&[], Some(status.severity().map_or(0.0, worth)));
    let reasons = Gauges::of(
        registry,
        "reason",
        "What is not as it should be, by kind: 1 warning, 2 critical",
    );
    let of_provider = status.provider.reasons.iter().map(|reason| ("", reason));
    let of_subscribers = status.subscribers.iter().flat_map(|one| {
        let reasons = one.reasons.iter();
        reasons.map(|reason| (one.consumer.as_str(), reason))
    });
    let mut worst: BTreeMap<(&str, &str, &str), Severity> = BTreeMap::new();
    for (consumer, reason) in of_provider.chain(of_subscribers) {
        let key = (consumer, reason.kind.as_str(), subject(reason));
        let severity = worst.entry(key).or_insert(reason.severity);
        *severity = reason.severity.max(*severity);
    }
    for ((consumer, kind, subject), severity) in worst {
        let labels = [("consumer", consumer), ("kind", kind), ("subject", subject)];
        reasons.set(&labels, Some(worth(severity)));
    }
}

fn subject(reason: &Reason) -> &str {
    &reason.subject
}

fn worth(severity: Severity) -> f64 {
    match severity {
        Severity::Warning => 1.0,
        Severity::Critical => 2.0,
    }
}

fn subscribers(registry: &mut Registry, all: &[SubscriberStatus]) {
    let mut gauge = |name: &str, help: &str| Gauges::of(registry, name, help);
    let reachable = gauge("reachable", "Whether the subscriber answers");
    let state = gauge("state", "1 for the subscriber's state");
    let batch_rows = gauge(
        "batch_rows",
        "Rows that the batch in hand has written so far",
    );
    let tick = gauge("tick", "Last tick applied");
    let lag = gauge(
        "lag_seconds",
        "Age of the oldest event that is not applied, ticked or not",
    );
    let lag_ticks = gauge("lag_ticks", "Ticks not applied yet");
    let pending = gauge("pending_events", "Events not applied yet");
    let conflicts = gauge("conflicts", "Rows that were not as their change said");
    let tables = gauge("tables", "Tables by state");
    for one in all {
        let consumer = ("consumer", one.consumer.as_str());
        reachable.set(&[consumer], Some(flag(one.reachable)));
        state.set(&[consumer, ("state", one.state.as_str())], Some(1.0));
        tick.set(&[consumer], one.tick.map(number));
        let rows = one.reachable.then(|| one.batch_rows.unwrap_or_default());
        batch_rows.set(&[consumer], rows.map(number));
        lag.set(&[consumer], one.lag_seconds);
        lag_ticks.set(&[consumer], one.lag_ticks.map(number));
        pending.set(&[consumer], one.pending_events.map(number));
        conflicts.set(&[consumer], one.reachable.then(|| number(one.conflicts)));
        for (state, count) in &one.tables {
            tables.set(&[consumer, ("state", state)], Some(*count as f64));
        }
    }
}

/// The tables that are not in sync. The others, which may be thousands, are counted only.
fn tables(registry: &mut Registry, all: &[SubscriberStatus]) {
    let mut gauge = |name: &str, help: &str| Gauges::of(registry, name, help);
    let copied = gauge("table_rows_copied", "Rows of the initial copy that are in");
    let estimated = gauge("table_rows_estimated", "Rows that it is expected to have");
    let bytes = gauge(
        "table_bytes_copied",
        "Bytes of the initial copy that are in",
    );
    let parked = gauge("table_parked", "1 for a table that cannot go on");
    for one in all {
        for table in one.table_list.iter().filter(|table| is_shown(table)) {
            let labels = [
                ("consumer", one.consumer.as_str()),
                ("table", table.table.as_str()),
            ];
            copied.set(&labels, table.rows_copied.map(number));
            estimated.set(&labels, table.rows_estimated.map(number));
            bytes.set(&labels, table.bytes_copied.map(number));
            if table.state == "parked" {
                parked.set(&labels, Some(1.0));
            }
        }
    }
}

fn is_shown(table: &TableStatus) -> bool {
    table.state != "-"
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// A number as a float, which is exact up to 2^53; Prometheus has no integers.
fn number(value: i64) -> f64 {
    value as f64
}
