//! Tables that both pages have: consumers, and what holds a queue's space. Pure.

use maud::{Markup, html};

use super::picture::Health;
use crate::output;
use crate::status::verdict::{Reason, Severity, worst};
use crate::status::{ConsumerStatus, HolderStatus};

/// Rows of a table; there may be thousands.
pub(super) const ROWS: usize = 200;

/// How well something is, by the reasons that are told of it.
pub(super) fn health(reasons: &[Reason]) -> Health {
    match worst(reasons.iter()) {
        None => Health::Ok,
        Some(Severity::Warning) => Health::Warning,
        Some(Severity::Critical) => Health::Critical,
    }
}

/// `1 table`, `12,345 tables`.
pub(super) fn counted(count: i64, one: &str, many: &str) -> String {
    let word = if count == 1 { one } else { many };
    format!("{} {word}", grouped(count))
}

/// A number with its thousands apart.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A number that may not be known.
pub(super) fn known(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), grouped)
}

/// A time that may not be known.
pub(super) fn time(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), output::seconds)
}

/// A table that scrolls by itself where it is wider than the page, also with the keyboard.
pub(super) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.wide tabindex="0" role="region" aria-label=(label) { table { (table) } } }
}

/// What was left out of a table.
pub(super) fn more(all: usize) -> Markup {
    html! { @if all > ROWS { p.note { "and " (grouped((all - ROWS).try_into().unwrap_or(i64::MAX))) " more" } } }
}

/// The consumers of a queue.
pub(super) fn consumers(list: &[ConsumerStatus]) -> Markup {
    let table = html! {
        thead { tr {
            th scope="col" { "consumer" }
            th.number scope="col" { "tick" }
            th.number scope="col" { "age of the tick" }
            th.number scope="col" { "events behind" }
            th.number scope="col" { "last seen" }
        } }
        tbody { @for one in list.iter().take(ROWS) { tr {
            th scope="row" { (one.name) }
            td.number { (known(one.last_tick)) }
            td.number { (time(one.lag_seconds)) }
            td.number { (known(one.pending_events)) }
            td.number { (output::seconds(one.last_seen_seconds)) " ago" }
        } } }
    };
    html! { (wide("consumers", &table)) (more(list.len())) }
}

/// What holds a queue's space, the oldest first.
pub(super) fn holders(list: &[HolderStatus]) -> Markup {
    let table = html! {
        thead { tr {
            th scope="col" { "held by" }
            th.number scope="col" { "for" }
            th.number scope="col" { "bytes" }
            th scope="col" { "what it is" }
        } }
        tbody { @for one in list.iter().take(ROWS) { tr {
            th scope="row" { (one.kind) @if let Some(name) = &one.name { " " (name) } }
            td.number { (time(one.held_seconds)) }
            td.number { (one.held_bytes.map_or("-".to_owned(), output::bytes)) }
            td.long {
                @if one.over_limit { span.pill.warning { "above the limit" } " " }
                @if let Some(pid) = one.pid { "pid " (pid) " " }
                @if let Some(xid) = one.xid { "xid " (xid) " " }
                @if let Some(detail) = &one.detail { (detail) }
            }
        } } }
    };
    html! { (wide("what holds the queue", &table)) (more(list.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let said = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ];
        for (number, text) in said {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "table", "tables"), "1 table");
    }
}
