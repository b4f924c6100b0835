//! What is on the page of a replay. Pure.

use std::collections::BTreeMap;

use maud::Markup;

use super::history::{History, Measure, Reading, Span};
use super::lists::{self, in_words, is_copied, states};
use super::parts::{counted, grouped, health, time};
use super::picture::{Flow, Health, Node};
use super::scale::Unit;
use super::view::{Fact, Part, View, Wanted};
use crate::output;
use crate::status::verdict::{MemberFacts, RoleFacts};
use crate::status::{ReplayStatus, SubscriberState, SubscriberStatus};

/// What a status says of each line. `rows` are the rows that each consumer has got since the program began.
pub fn readings(status: &ReplayStatus, rows: &BTreeMap<&str, u64>) -> Vec<Reading> {
    let reading = |measure, of: &str, value| Reading {
        measure,
        of: of.to_owned(),
        value,
    };
    let bytes = status.provider.bytes.map(|bytes| bytes as f64);
    let mut readings = vec![reading(Measure::Bytes, &status.queue, bytes)];
    for one in &status.subscribers {
        let consumer = one.consumer.as_str();
        readings.push(reading(Measure::Lag, consumer, one.lag_seconds));
        // A subscriber whose state is not known has got nothing that anybody knows of.
        let written = rows.get(consumer).filter(|_| one.lag_seconds.is_some());
        readings.push(reading(
            Measure::Rows,
            consumer,
            written.map(|rows| *rows as f64),
        ));
        if !one.archive {
            readings.push(reading(Measure::Left, consumer, left(one)));
        }
    }
    readings
}

/// Rows that are still to be copied, by the provider's statistics.
fn left(one: &SubscriberStatus) -> Option<f64> {
    let tables = one.table_list.iter().filter(|table| is_copied(table));
    let left = tables.map(|table| {
        let estimated = table.rows_estimated.unwrap_or(0);
        (estimated - table.rows_copied.unwrap_or(0)).max(0) as f64
    });
    (one.reachable && one.tick.is_some()).then(|| left.fold(0.0, |sum, one| sum + one))
}

/// The page.
pub fn draw(status: &ReplayStatus, history: &History, span: Span) -> Markup {
    let of_provider = status.provider.reasons.iter();
    let of_subscribers = status.subscribers.iter().flat_map(|one| {
        let reasons = one.reasons.iter();
        reasons.map(|reason| (one.consumer.clone(), reason))
    });
    let wanted = |id, title, empty, measure, unit| Wanted {
        id,
        title,
        empty,
        measure,
        unit,
    };
    View {
        program: "replay",
        job: &status.job,
        about: format!("queue {}", status.queue),
        todo: of_provider
            .map(|reason| (String::new(), reason))
            .chain(of_subscribers)
            .collect(),
        facts: facts(status, history),
        nodes: nodes(status),
        plots: vec![
            wanted("lag", "Behind", "Not known.", Measure::Lag, Unit::Seconds),
            wanted(
                "rows",
                "Rows written",
                "None counted.",
                Measure::Rows,
                Unit::PerSecond,
            ),
            wanted(
                "bytes",
                "Size of the queue",
                "Not known.",
                Measure::Bytes,
                Unit::Bytes,
            ),
            wanted(
                "left",
                "Rows still to copy",
                "No table is copied.",
                Measure::Left,
                Unit::Count,
            ),
        ],
        above: vec![Part {
            id: "tables",
            title: "Tables that are not in step".to_owned(),
            body: lists::tables(&status.subscribers),
        }],
        below: vec![
            Part {
                id: "conflicts",
                title: "Conflicts: rows that were not as their change said".to_owned(),
                body: lists::conflicts(&status.subscribers),
            },
            Part {
                id: "subscribers",
                title: "Subscribers".to_owned(),
                body: Some(lists::subscribers(&status.subscribers)),
            },
            Part {
                id: "queue",
                title: format!(
                    "Queue {}: who reads it, and who holds its space",
                    status.queue
                ),
                body: lists::queue(status),
            },
            Part {
                id: "set",
                title: format!("Nodes of the set of queue {}", status.queue),
                body: status.set().map(lists::set),
            },
        ],
    }
    .draw(history, span)
}

fn facts(status: &ReplayStatus, history: &History) -> Vec<Fact> {
    let now = std::time::Instant::now();
    let lags = status
        .subscribers
        .iter()
        .filter_map(|one| Some((one.lag_seconds?, one)));
    let farthest = lags.reduce(|one, other| if other.0 > one.0 { other } else { one });
    let unknown = status
        .subscribers
        .iter()
        .filter(|one| one.lag_seconds.is_none() && one.state != SubscriberState::Resting);
    let unknown = unknown.count();
    let rates = history.lines(Measure::Rows, Span::Hour, now);
    let rates = rates
        .iter()
        .filter_map(|line| line.runs.last()?.last())
        .filter(|(ago, _)| *ago < 30.0);
    let rate = rates.fold(0.0, |sum, (_, rate)| sum + rate);
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for (state, count) in status.subscribers.iter().flat_map(|one| &one.tables) {
        *states.entry(state).or_default() += count;
    }
    let ok = states.remove("ok").unwrap_or(0);
    let others = in_words(states.iter().map(|(state, count)| (*state, *count)));
    let recent: i64 = status
        .subscribers
        .iter()
        .map(|one| one.recent_conflicts)
        .sum();
    let ever: i64 = status.subscribers.iter().map(|one| one.conflicts).sum();
    let fact = |name, value, note| Fact { name, value, note };
    vec![
        fact(
            "Furthest behind",
            farthest.map_or("not known".to_owned(), |(lag, _)| output::seconds(lag)),
            match (unknown, farthest) {
                (0, Some((_, one))) => one.consumer.clone(),
                (0, None) => String::new(),
                (many, _) => format!("and {many} not known"),
            },
        ),
        fact(
            "Rows written",
            Unit::PerSecond.value(rate),
            "all subscribers".to_owned(),
        ),
        fact(
            "Tables in step",
            grouped(i64::try_from(ok).unwrap_or(i64::MAX)),
            if others.is_empty() {
                "no other".to_owned()
            } else {
                others
            },
        ),
        fact(
            "Queue",
            status
                .provider
                .bytes
                .map_or("not known".to_owned(), output::bytes),
            match status.provider.last_tick {
                Some(tick) => format!(
                    "tick {}, {} ago",
                    grouped(tick),
                    time(status.provider.tick_age_seconds)
                ),
                None => "no tick known".to_owned(),
            },
        ),
        fact(
            "Conflicts, last day",
            grouped(recent),
            format!("{} ever", grouped(ever)),
        ),
    ]
}

/// The provider, whoever reads from it, and the other nodes of the set.
fn nodes(status: &ReplayStatus) -> Vec<Node> {
    let provider = &status.provider;
    let title = |role: &Option<RoleFacts>| {
        role.as_ref()
            .and_then(|role| role.title().map(str::to_owned))
    };
    let name = title(&provider.role).unwrap_or_else(|| "provider".to_owned());
    let kind = provider.role.as_ref().map_or("provider", |role| role.role);
    let mut nodes = vec![Node {
        name: name.clone(),
        kind: format!("{kind}, queue {}", status.queue),
        note: match (provider.reachable, provider.last_tick) {
            (false, _) => "cannot be asked".to_owned(),
            (true, Some(tick)) => format!(
                "tick {}, {} ago",
                grouped(tick),
                time(provider.tick_age_seconds)
            ),
            (true, None) => "no tick yet".to_owned(),
        },
        health: health(&provider.reasons),
        from: None,
    }];
    for one in &status.subscribers {
        let called = title(&one.role).or_else(|| one.name.clone());
        let called = called.unwrap_or_else(|| one.consumer.clone());
        // One database may be both: what the provider of a set says of itself is told once.
        if one.state == SubscriberState::Resting && called == name {
            continue;
        }
        nodes.push(subscriber(one, called, &name));
    }
    let members = status.set().into_iter().flat_map(|own| &own.members);
    for one in members {
        if nodes.iter().all(|node| node.name != one.title()) {
            nodes.push(member(one));
        }
    }
    nodes
}

fn subscriber(one: &SubscriberStatus, name: String, provider: &str) -> Node {
    let kind = match &one.role {
        Some(role) => role.role,
        None if one.archive => "archive",
        None => "subscriber",
    };
    let state = one.state.as_str();
    let lag = match (one.lag_seconds, one.pending_events) {
        (Some(lag), _) => format!("{} behind", output::seconds(lag)),
        (None, _) => "lag not known".to_owned(),
    };
    let state = match (&one.source, one.pending_events) {
        (Some(archive), _) => format!("{state}, from archive {archive}"),
        (None, Some(events @ 1..)) => format!("{state}, {}", counted(events, "event", "events")),
        (None, _) => state.to_owned(),
    };
    let (health, flows) = match one.state {
        SubscriberState::Level
        | SubscriberState::Behind
        | SubscriberState::Copying
        | SubscriberState::Parked => (health(&one.reasons), true),
        SubscriberState::Resting => (health(&one.reasons).max(Health::Idle), false),
        SubscriberState::Starting
        | SubscriberState::Paused
        | SubscriberState::Waiting
        | SubscriberState::Stopped
        | SubscriberState::Unreachable => (health(&one.reasons), false),
    };
    let tables = states(one);
    Node {
        name,
        kind: kind.to_owned(),
        note: match (one.reachable, tables.is_empty()) {
            (false, _) => "cannot be asked".to_owned(),
            (true, true) => "no tables".to_owned(),
            (true, false) => format!("tables: {tables}"),
        },
        health,
        from: (one.state != SubscriberState::Resting).then(|| Flow {
            node: provider.to_owned(),
            lag,
            state,
            health,
            flows,
        }),
    }
}

/// A node of the set that this replay only hears of.
fn member(one: &MemberFacts) -> Node {
    let health = match (&one.problem, one.is_silent()) {
        (Some(_), _) => Health::Critical,
        (None, true) => Health::Warning,
        (None, false) => Health::Ok,
    };
    let heard = format!("heard {} ago", output::seconds(one.heard_seconds));
    Node {
        name: one.title().to_owned(),
        kind: one.role.to_owned(),
        note: heard.clone(),
        health,
        from: one.follows.as_ref().map(|upstream| Flow {
            node: upstream.clone(),
            lag: match one.behind_ticks {
                Some(ticks) => format!("{} behind", counted(ticks, "tick", "ticks")),
                None => "lag not known here".to_owned(),
            },
            state: if one.is_silent() {
                "silent".to_owned()
            } else {
                heard
            },
            health,
            flows: !one.is_silent(),
        }),
    }
}
