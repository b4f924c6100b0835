//! The page's frame: the verdict, what to do, the picture, the plots, and further parts. Pure.
//!
//! Each part is there always, and hidden while it is empty, so that the script finds it by its name.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::history::{History, Measure, Span};
use super::picture::{self, Node};
use super::plot::Plot;
use super::scale::Unit;
use super::{SCRIPT, STYLE};
use crate::status::verdict::{Reason, Severity};

/// How many reasons are shown one by one.
const SHOWN: usize = 50;

/// What is on the page.
pub(super) struct View<'a> {
    /// The program, and what it works on.
    pub(super) program: &'static str,
    pub(super) job: &'a str,
    pub(super) about: String,
    /// The reasons why something is not as it should be, each with whom it is about.
    pub(super) todo: Vec<(String, &'a Reason)>,
    pub(super) facts: Vec<Fact>,
    pub(super) nodes: Vec<Node>,
    pub(super) plots: Vec<Wanted>,
    /// What stands between the picture and the plots, and what stands below them.
    pub(super) above: Vec<Part>,
    pub(super) below: Vec<Part>,
}

/// A number that is wanted at one glance.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) note: String,
}

/// A plot that is wanted.
pub(super) struct Wanted {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) empty: &'static str,
    pub(super) measure: Measure,
    pub(super) unit: Unit,
}

/// A part of the page; without a body it is hidden.
pub(super) struct Part {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) body: Option<Markup>,
}

impl View<'_> {
    fn severity(&self) -> Option<Severity> {
        self.todo.iter().map(|(_, reason)| reason.severity).max()
    }

    /// The whole page.
    pub(super) fn draw(mut self, history: &History, span: Span) -> Markup {
        self.todo
            .sort_by_key(|(_, reason)| std::cmp::Reverse(reason.severity));
        let severity = self.severity();
        let word = severity.map_or("ok", Severity::as_str);
        let now = Timestamp::now();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    noscript { meta http-equiv="refresh" content="5"; }
                    title { (word) " · " (self.program) " " (self.job) }
                    link #icon rel="icon" href=(icon(severity));
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "to the content" }
                    header {
                        h1 { (self.program) " " (self.job) " " span { (self.about) } }
                        p.live #live { "as of " time datetime=(moment(now)) { (clock(now)) " UTC" } }
                    }
                    main #main {
                        (self.verdict(severity))
                        (self.todo())
                        (Part {
                            id: "flow",
                            title: "Who reads from whom".to_owned(),
                            body: Some(picture::draw(&self.nodes)),
                        }.draw())
                        @for part in &self.above { (part.draw()) }
                        (self.plots(history, span))
                        @for part in &self.below { (part.draw()) }
                    }
                    footer {
                        p { "Trunkline " (env!("CARGO_PKG_VERSION")) }
                        a href="/status" { "status as JSON" }
                        a href="/metrics" { "metrics" }
                        a href="/health" { "health" }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }

    fn verdict(&self, severity: Option<Severity>) -> Markup {
        let word = severity.map_or("ok", Severity::as_str);
        html! {
            section #verdict data-part="" aria-label="verdict" {
                div class={ "verdict " (word) } {
                    span.badge aria-hidden="true" { svg viewBox="0 0 24 24" { path d=(sign(severity)) {} } }
                    div aria-live="polite" {
                        strong { (self.headline()) }
                        p { (self.worst()) }
                    }
                }
                dl.facts {
                    @for fact in &self.facts {
                        div { dt { (fact.name) } dd { (fact.value) small { (fact.note) } } }
                    }
                }
            }
        }
    }

    fn headline(&self) -> String {
        let count = |severity| {
            self.todo
                .iter()
                .filter(|(_, one)| one.severity == severity)
                .count()
        };
        let critical = count(Severity::Critical);
        let warnings = match count(Severity::Warning) {
            1 => "1 warning".to_owned(),
            many => format!("{many} warnings"),
        };
        match (critical, self.todo.len() - critical) {
            (0, 0) => "All is well".to_owned(),
            (0, _) => warnings,
            (_, 0) => format!("{critical} critical"),
            (_, _) => format!("{critical} critical, {warnings}"),
        }
    }

    fn worst(&self) -> String {
        match self.todo.first() {
            None => "Nothing needs your attention.".to_owned(),
            Some((of, reason)) if of.is_empty() => reason.sentence(),
            Some((of, reason)) => format!("{of}: {}", reason.sentence()),
        }
    }

    fn todo(&self) -> Markup {
        let list = html! {
            ul.todo {
                @for (of, reason) in self.todo.iter().take(SHOWN) {
                    li class=(reason.severity.as_str()) {
                        span class={ "pill " (reason.severity.as_str()) } { (reason.severity.as_str()) } " "
                        @if !of.is_empty() { span.of { (of) ": " } }
                        (reason.sentence())
                        @if let Some(advice) = &reason.advice { p.do { b { "Do: " } (advice) } }
                    }
                }
            }
            @if self.todo.len() > SHOWN { p.note { "and " (self.todo.len() - SHOWN) " more" } }
        };
        let body = (!self.todo.is_empty()).then_some(list);
        Part {
            id: "todo",
            title: "What to do".to_owned(),
            body,
        }
        .draw()
    }

    fn plots(&self, history: &History, span: Span) -> Markup {
        let now = Instant::now();
        let since = since(history.began());
        html! {
            section #plots aria-labelledby="title-plots" {
                div.head-row {
                    h2 #title-plots { "The last " (span.word()) }
                    p.note { (since) }
                    nav aria-label="span of the plots" {
                        @for one in [Span::Hour, Span::Day] {
                            @let current = (one == span).then_some("true");
                            a href={ "/?span=" (one.word()) } aria-current=[current] { (one.word()) }
                        }
                    }
                }
                div.plots #lines data-part="" {
                    @for wanted in &self.plots {
                        (Plot {
                            id: wanted.id,
                            title: wanted.title,
                            empty: wanted.empty,
                            unit: wanted.unit,
                            lines: history.lines(wanted.measure, span, now),
                            span,
                            age: history.age(now),
                            since: &since,
                        }.draw())
                    }
                }
            }
        }
    }
}

impl Part {
    pub(super) fn draw(&self) -> Markup {
        let title = format!("title-{}", self.id);
        html! {
            section id=(self.id) data-part="" aria-labelledby=(title) hidden[self.body.is_none()] {
                h2 id=(title) { (self.title) }
                @if let Some(body) = &self.body { (body) }
            }
        }
    }
}

fn since(began: Option<SystemTime>) -> String {
    let began = began.and_then(|time| Timestamp::try_from(time).ok());
    match began {
        Some(time) => format!(
            "Samples since {} UTC, when this process began to look.",
            moment(time).replace('T', " ").replace('Z', "")
        ),
        None => "No sample yet.".to_owned(),
    }
}

/// RFC 3339, to the second.
fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S").to_string()
}

fn sign(severity: Option<Severity>) -> &'static str {
    match severity {
        None => "M5 13l5 5l9 -12",
        Some(Severity::Warning) => "M12 5v9M12 19v.1",
        Some(Severity::Critical) => "M6 6l12 12M18 6l-12 12",
    }
}

/// The tab's icon, whose shape and colour tell the verdict.
fn icon(severity: Option<Severity>) -> String {
    let colour = match severity {
        None => "%2314743a",
        Some(Severity::Warning) => "%238a5700",
        Some(Severity::Critical) => "%23b3201c",
    };
    format!(
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><circle cx='12' cy='12' r='12' \
         fill='{colour}'/><path d='{}' fill='none' stroke='white' stroke-width='3'/></svg>",
        sign(severity)
    )
}
