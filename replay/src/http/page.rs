//! The status page: one page, no script, drawn anew every five seconds by the browser. Pure.

use std::time::Instant;

use admin::{
    output,
    status::{ReplayStatus, SubscriberStatus, TableStatus},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    plot::{self, Lines},
    samples::Sample,
};

const STYLE: &str = "body{font:14px sans-serif;margin:1.5em;color:#222}table{border-collapse:collapse;margin:.5em 0}\
    td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:left}.bad{color:#b00020}\
    progress{width:8em}h1{font-size:1.3em}h2{font-size:1.05em}";

/// Tables that are shown one by one; there may be thousands.
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
                meta http-equiv="refresh" content="5";
                title { "replay " (status.job) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "replay " (status.job) ", queue " (status.queue) }
                (provider(status))
                (subscribers(&status.subscribers))
                (plot("seconds behind", &plot::lag(history, &names, now)))
                (plot("rows a second", &plot::rates(history, &names, now)))
                @for one in &status.subscribers { (tables(one)) }
                p { a href="/metrics" { "metrics" } " " a href="/status" { "status" } " " a href="/health" { "health" } }
            }
        }
    }
}

fn provider(status: &ReplayStatus) -> Markup {
    html! {
        p {
            @match (&status.provider.error, status.provider.last_tick) {
                (Some(error), _) => { span.bad { "provider: " (error) } }
                (None, Some(tick)) => { "provider: last tick " (tick) }
                (None, None) => { "provider: no tick yet" }
            }
        }
    }
}

fn subscribers(all: &[SubscriberStatus]) -> Markup {
    html! {
        table {
            tr { th { "subscriber" } th { "state" } th { "tick" } th { "behind" } th { "pending events" } th { "conflicts" } th { "tables" } }
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
                @if let Some(error) = &one.last_error {
                    tr { td colspan="7" class="bad" { (error) } }
                }
            }
        }
    }
}

fn plot(title: &str, lines: &Lines) -> Markup {
    match plot::draw(title, lines) {
        Ok(svg) => html! { div { (PreEscaped(svg)) } },
        Err(error) => html! { p.bad { (title) ": " (error) } },
    }
}

fn tables(one: &SubscriberStatus) -> Markup {
    let list = &one.table_list;
    html! {
        @if !list.is_empty() {
            h2 { (one.consumer) ": tables that are not in step" }
            table {
                tr { th { "table" } th { "state" } th { "copied" } th { "rows" } th { "bytes" } th { "time left" } th { "error" } }
                @for table in list.iter().take(SHOWN_TABLES) { (row(table)) }
            }
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
                @if let (Some(copied), Some(estimated @ 1..)) = (copied, estimated) {
                    progress max=(estimated) value=(copied.min(estimated)) {}
                }
            }
            td { @if let Some(rows) = copied { (rows) } }
            td { @if let Some(bytes) = table.bytes_copied { (output::bytes(bytes)) } }
            td { @if let Some(left) = table.seconds_left { (output::seconds(left)) } }
            td {
                @if let Some(error) = &table.error { span.bad { (error) } }
                @if let Some(advice) = &table.advice { ": " (advice) }
            }
        }
    }
}
