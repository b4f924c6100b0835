//! The tables on the page of a replay: tables that are not in step, conflicts, subscribers, the queue, the set. Pure.

use maud::{Markup, html};

use super::parts::{self, counted, grouped, health, known, time, wide};
use crate::output;
use crate::status::verdict::RoleFacts;
use crate::status::{ReplayStatus, SubscriberStatus, TableStatus};

/// How many tables are in each state.
pub(super) fn states(one: &SubscriberStatus) -> String {
    in_words(
        one.tables
            .iter()
            .map(|(state, count)| (state.as_str(), *count)),
    )
}

/// `1 parked, 2 in-copy, 3 waiting, 44 ok`.
pub(super) fn in_words<'a>(states: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut states: Vec<(&str, u64)> = states.collect();
    states.sort_by_key(|(state, _)| rank(state));
    let words = states.iter().map(|(state, count)| match *state {
        "-" => format!("{count} waiting"),
        state => format!("{count} {state}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Parked tables need somebody; those that wait, and those that are in step, need nobody.
fn rank(state: &str) -> u8 {
    match state {
        "parked" => 0,
        "-" => 2,
        "ok" => 3,
        _ => 1,
    }
}

/// Whether the table's rows are being copied, or wait to be copied.
pub(super) fn is_copied(table: &TableStatus) -> bool {
    matches!(table.state.as_str(), "-" | "in-copy")
}

/// The tables that are not `ok`, those that are parked first.
pub(super) fn tables(all: &[SubscriberStatus]) -> Option<Markup> {
    let of = |one: &SubscriberStatus| one.name.clone().unwrap_or_else(|| one.consumer.clone());
    let mut list: Vec<(String, &TableStatus)> = all
        .iter()
        .flat_map(|one| one.table_list.iter().map(move |table| (of(one), table)))
        .collect();
    list.sort_by_key(|(_, table)| rank(&table.state));
    let table = html! {
        thead { tr {
            th scope="col" { "table" }
            th scope="col" { "subscriber" }
            th scope="col" { "state" }
            th scope="col" { "copied" }
            th.number scope="col" { "size" }
            th.number scope="col" { "time left" }
            th scope="col" { "why, and what to do" }
        } }
        tbody { @for (of, table) in list.iter().take(parts::ROWS) { (row(of, table)) } }
    };
    (!list.is_empty())
        .then(|| html! { (wide("tables that are not in step", &table)) (parts::more(list.len())) })
}

fn row(of: &str, table: &TableStatus) -> Markup {
    let (copied, estimated) = (table.rows_copied, table.rows_estimated);
    let (class, word) = match table.state.as_str() {
        "parked" => ("critical", "parked"),
        "-" => ("idle", "waits for its copy"),
        word => ("warning", word),
    };
    html! {
        tr {
            th scope="row" { (table.table) }
            td { (of) }
            td { span class={ "pill " (class) } { (word) } }
            td {
                // A parked table shows no progress, however many rows it has.
                @if let (true, Some(copied), Some(estimated @ 1..)) = (is_copied(table), copied, estimated) {
                    progress max=(estimated) value=(copied.min(estimated)) aria-label={ (table.table) ", copied" } {}
                    " " (grouped(copied)) " of about " (grouped(estimated))
                } @else if let Some(rows @ 1..) = copied {
                    (counted(rows, "row", "rows"))
                }
                @if let Some(building) = table.building() { " " (building) }
            }
            td.number { @if let Some(bytes @ 1..) = table.bytes_copied { (output::bytes(bytes)) } }
            td.number { @if let Some(left) = table.seconds_left { (output::seconds(left)) } }
            td.long {
                @if let Some(error) = &table.error { (error) }
                @if let Some(advice) = &table.advice { p.do { b { "Do: " } (advice) } }
            }
        }
    }
}

pub(super) fn conflicts(all: &[SubscriberStatus]) -> Option<Markup> {
    let some = all
        .iter()
        .any(|one| one.conflicts > 0 || !one.conflict_list.is_empty());
    let table = html! {
        thead { tr {
            th scope="col" { "subscriber" }
            th scope="col" { "table" }
            th.number scope="col" { "conflicts" }
        } }
        tbody { @for one in all { @for table in &one.conflict_list { tr {
            td { (one.consumer) }
            th scope="row" { (table.table) }
            td.number { (grouped(table.conflicts)) }
        } } } }
    };
    some.then(|| {
        html! {
            (wide("conflicts", &table))
            p.do { b { "Do: " } "find who writes there beside replay; " code { "replay compare" }
                " tells whether the tables differ still. \
                The rows are in trunkline.conflict on the subscriber, for the owner of that schema only." }
        }
    })
}

pub(super) fn subscribers(all: &[SubscriberStatus]) -> Markup {
    let table = html! {
        thead { tr {
            th scope="col" { "subscriber" }
            th scope="col" { "state" }
            th.number scope="col" { "tick" }
            th.number scope="col" { "behind" }
            th.number scope="col" { "events behind" }
            th.number scope="col" { "conflicts" }
            th scope="col" { "tables" }
        } }
        tbody { @for one in all { tr {
            th scope="row" { (one.consumer) @if one.archive { " (archive)" } }
            td { span class={ "pill " (health(&one.reasons).word()) } { (one.state.as_str()) } }
            td.number { (known(one.tick)) }
            td.number { (time(one.lag_seconds)) }
            td.number { (known(one.pending_events)) }
            td.number { (grouped(one.conflicts)) }
            td.long { (states(one)) }
        } } }
    };
    wide("subscribers", &table)
}

pub(super) fn queue(status: &ReplayStatus) -> Option<Markup> {
    let provider = &status.provider;
    (!provider.consumer_list.is_empty() || !provider.holder_list.is_empty()).then(|| {
        html! {
            @if !provider.consumer_list.is_empty() { (parts::consumers(&provider.consumer_list)) }
            @if provider.holder_list.is_empty() {
                p.note { "Nothing holds its space: what all have read is used again." }
            } @else {
                (parts::holders(&provider.holder_list))
            }
        }
    })
}

/// All nodes that a database of this replay has heard of, itself first.
pub(super) fn set(own: &RoleFacts) -> Markup {
    let since = |seconds: Option<f64>| {
        seconds.map_or(String::new(), |seconds| output::seconds(seconds.max(0.0)))
    };
    let term = |term: i64| {
        if term > 0 {
            term.to_string()
        } else {
            String::new()
        }
    };
    let table = html! {
        thead { tr {
            th scope="col" { "node" }
            th scope="col" { "role" }
            th.number scope="col" { "since" }
            th.number scope="col" { "term" }
            th scope="col" { "follows" }
            th.number scope="col" { "heard" }
        } }
        tbody {
            tr {
                th scope="row" { (own.title().unwrap_or("-")) }
                td { (own.role) }
                td.number { (since(own.since_seconds)) }
                td.number { (term(own.term)) }
                td { (own.follows.as_deref().unwrap_or("")) }
                td.number { "this node" }
            }
            @for one in &own.members { tr {
                th scope="row" { (one.title()) }
                td.long { (one.role) @if let Some(problem) = &one.problem { " " span.pill.critical { (problem) } } }
                td.number { (since(one.since_seconds)) }
                td.number { (term(one.term)) }
                td { (one.follows.as_deref().unwrap_or("")) }
                td.number {
                    @if one.is_silent() { span.pill.warning { (output::seconds(one.heard_seconds)) " ago" } }
                    @else { (output::seconds(one.heard_seconds)) " ago" }
                }
            } }
        }
    };
    html! {
        @if let Some(operation) = &own.operation {
            p { @if operation.is_left() { span.pill.critical { "left" } " " } (operation.describe()) }
        }
        (wide("nodes of the set", &table))
    }
}
