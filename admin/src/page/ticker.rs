//! What is on the page of a ticker. Pure.

use maud::{Markup, html};

use super::history::{History, Measure, Reading, Span};
use super::parts::{self, counted, grouped, health, known, time, wide};
use super::picture::{Flow, Health, Node};
use super::scale::Unit;
use super::view::{Fact, Part, View, Wanted};
use crate::output;
use crate::status::verdict::Severity;
use crate::status::{ConsumerStatus, QueueStatus, TickerStatus};

/// The queues, each with its database.
fn queues(status: &TickerStatus) -> impl Iterator<Item = (&str, &QueueStatus)> {
    let databases = status.databases.iter();
    databases.flat_map(|database| {
        database
            .queues
            .iter()
            .map(|queue| (database.name.as_str(), queue))
    })
}

/// The name of a queue, with its database where there are several.
fn called(status: &TickerStatus, database: &str, queue: &QueueStatus) -> String {
    match status.databases.as_slice() {
        [_] => queue.name.clone(),
        _ => format!("{database}/{}", queue.name),
    }
}

/// What a status says of each line.
pub fn readings(status: &TickerStatus) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (database, queue) in queues(status) {
        let name = called(status, database, queue);
        let mut reading = |measure, of: &str, value| {
            readings.push(Reading {
                measure,
                of: of.to_owned(),
                value,
            });
        };
        reading(Measure::TickAge, &name, queue.tick_age_seconds);
        reading(
            Measure::Events,
            &name,
            queue.pace.as_ref().and_then(|pace| pace.events_per_second),
        );
        reading(
            Measure::Bytes,
            &name,
            queue.pace.is_some().then_some(queue.bytes as f64),
        );
        for one in &queue.consumer_list {
            reading(
                Measure::Lag,
                &format!("{name} {}", one.name),
                one.lag_behind(queue),
            );
        }
    }
    readings
}

/// The page.
pub fn draw(status: &TickerStatus, history: &History, span: Span) -> Markup {
    let reasons = status.reasons();
    let wanted = |id, title, empty, measure, unit| Wanted {
        id,
        title,
        empty,
        measure,
        unit,
    };
    let held = queues(status).filter(|(_, queue)| !queue.holder_list.is_empty());
    let held: Vec<Markup> = held
        .map(|(database, queue)| {
            html! {
                h3 { (called(status, database, queue)) }
                (parts::holders(&queue.holder_list))
            }
        })
        .collect();
    let read = queues(status).filter(|(_, queue)| !queue.consumer_list.is_empty());
    let read: Vec<Markup> = read
        .map(|(database, queue)| {
            html! {
                h3 { (called(status, database, queue)) }
                (parts::consumers(&queue.consumer_list))
            }
        })
        .collect();
    let all =
        |parts: Vec<Markup>| (!parts.is_empty()).then(|| html! { @for part in parts { (part) } });
    View {
        program: "ticker",
        job: &status.job,
        about: counted(
            i64::try_from(status.databases.len()).unwrap_or(i64::MAX),
            "database",
            "databases",
        ),
        todo: reasons
            .iter()
            .map(|(of, reason)| (of.clone(), reason))
            .collect(),
        facts: facts(status),
        nodes: nodes(status),
        plots: vec![
            wanted(
                "tick",
                "Age of the last tick",
                "No queue is known.",
                Measure::TickAge,
                Unit::Seconds,
            ),
            wanted(
                "events",
                "Events",
                "None known.",
                Measure::Events,
                Unit::PerSecond,
            ),
            wanted(
                "bytes",
                "Size of the queues",
                "Not known.",
                Measure::Bytes,
                Unit::Bytes,
            ),
            wanted(
                "lag",
                "Consumers behind",
                "There is no consumer.",
                Measure::Lag,
                Unit::Seconds,
            ),
        ],
        above: vec![Part {
            id: "queues",
            title: "Queues".to_owned(),
            body: Some(table(status)),
        }],
        below: vec![
            Part {
                id: "holders",
                title: "What holds the queues' space".to_owned(),
                body: all(held),
            },
            Part {
                id: "consumers",
                title: "Consumers".to_owned(),
                body: all(read),
            },
        ],
    }
    .draw(history, span)
}

fn facts(status: &TickerStatus) -> Vec<Fact> {
    let oldest = queues(status)
        .filter_map(|(_, queue)| queue.tick_age_seconds)
        .reduce(f64::max);
    let rate = queues(status)
        .filter_map(|(_, queue)| queue.pace.as_ref()?.events_per_second)
        .fold(0.0, |sum, one| sum + one);
    let bytes: i64 = queues(status).map(|(_, queue)| queue.bytes).sum();
    let consumers = || {
        queues(status)
            .flat_map(|(_, queue)| queue.consumer_list.iter().map(move |one| (queue, one)))
    };
    let lag = consumers().filter_map(|(queue, one)| Some((one.lag_behind(queue)?, one)));
    let farthest = lag.reduce(|one, other| if other.0 > one.0 { other } else { one });
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let fact = |name, value, note| Fact { name, value, note };
    vec![
        fact(
            "Oldest last tick",
            oldest.map_or("none known".to_owned(), |age| {
                format!("{} ago", output::seconds(age))
            }),
            String::new(),
        ),
        fact(
            "Events",
            Unit::PerSecond.value(rate),
            "over the last ticks".to_owned(),
        ),
        fact(
            "Queues",
            grouped(number(queues(status).count())),
            output::bytes(bytes),
        ),
        fact(
            "Consumer furthest behind",
            farthest.map_or("none".to_owned(), |(lag, _)| output::seconds(lag)),
            farthest.map_or(String::new(), |(_, one)| one.name.clone()),
        ),
    ]
}

/// The queues, each with its consumers.
fn nodes(status: &TickerStatus) -> Vec<Node> {
    let mut nodes = Vec::new();
    for database in &status.databases {
        if let Some(error) = &database.error {
            nodes.push(Node {
                name: database.name.clone(),
                kind: "database".to_owned(),
                note: error.clone(),
                health: Health::Critical,
                from: None,
            });
        }
    }
    for (database, queue) in queues(status) {
        let name = called(status, database, queue);
        nodes.push(Node {
            name: name.clone(),
            kind: format!("queue in {database}"),
            note: match queue.last_tick {
                Some(tick) => format!(
                    "tick {}, {} ago",
                    grouped(tick),
                    time(queue.tick_age_seconds)
                ),
                None => queue
                    .error
                    .clone()
                    .unwrap_or_else(|| "no tick yet".to_owned()),
            },
            health: match &queue.error {
                Some(_) if queue.reasons.is_empty() => Health::Critical,
                _ if !queue.capture_problems.is_empty() => Health::Critical,
                _ => health(&queue.reasons),
            },
            from: None,
        });
        nodes.extend(
            queue
                .consumer_list
                .iter()
                .map(|one| consumer(one, queue, &name)),
        );
    }
    nodes
}

fn consumer(one: &ConsumerStatus, queue: &QueueStatus, from: &str) -> Node {
    let health = match one.severity(queue) {
        None => Health::Ok,
        Some(Severity::Warning) => Health::Warning,
        Some(Severity::Critical) => Health::Critical,
    };
    Node {
        name: one.name.clone(),
        kind: "consumer".to_owned(),
        note: format!("seen {} ago", output::seconds(one.last_seen_seconds)),
        health,
        from: Some(Flow {
            node: from.to_owned(),
            lag: one
                .lag_behind(queue)
                .map_or("lag not known".to_owned(), |lag| {
                    format!("{} behind", output::seconds(lag))
                }),
            state: match one.pending_events {
                Some(events) => counted(events, "event", "events"),
                None => String::new(),
            },
            health,
            flows: health != Health::Critical,
        }),
    }
}

fn table(status: &TickerStatus) -> Markup {
    let list = html! {
        thead { tr {
            th scope="col" { "queue" }
            th scope="col" { "database" }
            th.number scope="col" { "tick" }
            th.number scope="col" { "made" }
            th.number scope="col" { "events since" }
            th.number scope="col" { "size" }
            th.number scope="col" { "rotated" }
            th.number scope="col" { "consumers" }
        } }
        tbody { @for (database, queue) in queues(status).take(parts::ROWS) { tr {
            th scope="row" { (queue.name) @if let Some(error) = &queue.error { " " span.pill.critical { (error) } } }
            td { (database) }
            td.number { (known(queue.last_tick)) }
            td.number { @if let Some(age) = queue.tick_age_seconds { (output::seconds(age)) " ago" } @else { "-" } }
            td.number { (known(queue.pending_events)) }
            td.number { (output::bytes(queue.bytes)) }
            td.number {
                @if let Some(pace) = &queue.pace { (output::seconds(pace.rotated_seconds_ago)) " ago" }
                @else { "-" }
            }
            td.number { (grouped(queue.consumers)) }
        } } }
    };
    html! { (wide("queues", &list)) (parts::more(queues(status).count())) }
}
