//! The status page: one page without a script, which the browser loads again every five seconds. Pure.

use std::time::Instant;

use admin::{
    output,
    status::{ReplayStatus, SubscriberStatus, TableStatus},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    plot::{self, Lines},
    samples::Sample,
    set,
};

/// The page is light or dark as the browser is. The plots' text and axes are black by the drawing library's attributes,
/// which a rule overrides; the lines keep their colours. A wide table scrolls by itself, not the page.
const STYLE: &str = ":root{color-scheme:light dark;--text:#222;--rule:#ccc;--critical:#b00020;\
    --warning:#8a5a00;--back:#fff}\
    @media(prefers-color-scheme:dark){:root{--text:#ddd;--rule:#444;--critical:#ff6b7d;\
    --warning:#e6b450;--back:#161616}}\
    body{font:14px sans-serif;margin:1.5em;color:var(--text);background:var(--back)}\
    @media(max-width:600px){body{margin:.8em}td,th{padding:.2em .4em}}\
    .wide{overflow-x:auto}table{border-collapse:collapse;margin:.5em 0}\
    td,th{padding:.2em .8em;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}\
    .critical{color:var(--critical)}.warning{color:var(--warning)}.long{overflow-wrap:anywhere;min-width:16em}\
    progress{width:8em}h1{font-size:1.3em}h2{font-size:1.05em}a{color:inherit}\
    svg{max-width:100%;height:auto}svg text{fill:currentColor}\
    svg :is(line,polyline)[stroke='#000000']{stroke:currentColor}";

/// The number of tables that are shown one by one; there may be thousands.
const SHOWN_TABLES: usize = 200;

/// The whole page.
pub(super) fn draw(status: &ReplayStatus, history: &[Sample]) -> Markup {
    let names: Vec<String> = status
        .subscribers
        .iter()
        .map(|one| one.consumer.clone())
        .collect();
    let now = Instant::now();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="5";
                title { "replay " (status.job) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "replay " (status.job) ", queue " (status.queue) }
                (provider(status))
                (reasons(status))
                (subscribers(&status.subscribers))
                (set::draw(status))
                (plot("seconds behind", &plot::lag(history, &names, now)))
                (plot("rows a second", &plot::rates(history, &names, now)))
                @for one in &status.subscribers { (tables(one)) }
                p {
                    a href="/metrics" { "metrics" }
                    " "
                    a href="/status" { "status" }
                    " "
                    a href="/health" { "health" }
                }
            }
        }
    }
}

fn provider(status: &ReplayStatus) -> Markup {
    html! {
        p {
            @match (&status.provider.error, status.provider.last_tick) {
                (Some(_), _) => { span.critical { "provider: cannot be asked" } }
                (None, Some(tick)) => {
                    "provider: last tick " (tick)
                    @if let Some(age) = status.provider.tick_age_seconds { ", " (output::seconds(age)) " ago" }
                }
                (None, None) => { "provider: no tick yet" }
            }
            @if let Some(role) = &status.provider.role { ", " (role.describe()) }
        }
    }
}

/// The reasons why something is not healthy, with their advice.
fn reasons(status: &ReplayStatus) -> Markup {
    let of_provider = status.provider.reasons.iter().map(|reason| ("", reason));
    let of_subscribers = status.subscribers.iter().flat_map(|one| {
        let reasons = one.reasons.iter();
        reasons.map(|reason| (one.consumer.as_str(), reason))
    });
    let mut all: Vec<_> = of_provider.chain(of_subscribers).collect();
    all.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.severity));
    html! {
        @if all.is_empty() {
            p { "all is well" }
        } @else {
            div.wide { table {
                tr { th { "" } th { "of" } th { "what" } th { "advice" } }
                @for (consumer, reason) in all {
                    tr {
                        td class=(reason.severity.as_str()) { (reason.severity.as_str()) }
                        td { (consumer) }
                        td.long { (reason.sentence()) }
                        td.long { @if let Some(advice) = &reason.advice { (advice) } }
                    }
                }
            } }
        }
    }
}

fn subscribers(all: &[SubscriberStatus]) -> Markup {
    html! {
        div.wide { table {
            tr {
                th { "subscriber" }
                th { "state" }
                th { "tick" }
                th { "behind" }
                th { "pending events" }
                th { "conflicts" }
                th { "tables" }
            }
            @for one in all {
                tr {
                    td { (one.consumer) }
                    td { (one.state.as_str()) }
                    td { @if let Some(tick) = one.tick { (tick) } }
                    td { @if let Some(lag) = one.lag_seconds { (output::seconds(lag)) } }
                    td { @if let Some(events) = one.pending_events { (events) } }
                    td { (one.conflicts) }
                    td { @for (state, count) in &one.tables { (state) " " (count) " " } }
                }
            }
        } }
    }
}

fn plot(title: &str, lines: &Lines) -> Markup {
    match plot::draw(title, lines) {
        Ok(svg) => html! { div { (PreEscaped(svg)) } },
        Err(error) => html! { p.critical { (title) ": " (error) } },
    }
}

fn tables(one: &SubscriberStatus) -> Markup {
    let list = &one.table_list;
    html! {
        @if !list.is_empty() {
            h2 { (one.consumer) ": tables that are not in step" }
            div.wide { table {
                tr {
                    th { "table" }
                    th { "state" }
                    th { "copied" }
                    th { "rows" }
                    th { "bytes" }
                    th { "time left" }
                    th { "error" }
                }
                @for table in list.iter().take(SHOWN_TABLES) { (row(table)) }
            } }
            @if list.len() > SHOWN_TABLES { p { "and " (list.len() - SHOWN_TABLES) " more" } }
        }
    }
}

fn row(table: &TableStatus) -> Markup {
    let (copied, estimated) = (table.rows_copied, table.rows_estimated);
    html! {
        tr {
            td { (table.table) }
            td { (table.state) }
            td {
                // A parked table shows no progress, however many rows it has.
                @if let (true, Some(copied), Some(estimated @ 1..)) = (is_copied(table), copied, estimated) {
                    progress max=(estimated) value=(copied.min(estimated)) {}
                }
                @if let Some(building) = table.building() { " " (building) }
            }
            td { @if let Some(rows) = copied { (rows) } }
            td { @if let Some(bytes) = table.bytes_copied { (output::bytes(bytes)) } }
            td { @if let Some(left) = table.seconds_left { (output::seconds(left)) } }
            td.long {
                @if let Some(error) = &table.error { span.critical { (error) } }
                @if let Some(advice) = &table.advice { ": " (advice) }
            }
        }
    }
}

/// Whether the table's rows are being copied, or wait to be copied.
fn is_copied(table: &TableStatus) -> bool {
    matches!(table.state.as_str(), "-" | "in-copy")
}
