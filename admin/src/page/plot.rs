//! Lines over time: a drawing that takes any width, its labels beside it as text, and the same numbers as a table for
//! those who do not see it. Pure.

use maud::{Markup, html};

use super::history::{Line, Run, Span};
use super::scale::Unit;

/// Lines that are drawn; more could not be told from each other.
const DRAWN: usize = 8;

/// The drawing's own width and height; it is stretched to the page's.
const SIZE: (f64, f64) = (1000.0, 100.0);

/// Labels of the time axis.
const LABELS: u32 = 4;

/// Rows of the table.
const ROWS: u32 = 12;

/// A plot.
pub(super) struct Plot<'a> {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What is told where there is no line.
    pub(super) empty: &'static str,
    pub(super) unit: Unit,
    pub(super) lines: Vec<Line>,
    pub(super) span: Span,
    /// Seconds since the first sample.
    pub(super) age: f64,
    /// The text that says since when there are samples.
    pub(super) since: &'a str,
}

impl Plot<'_> {
    /// The plot, with its legend and its table.
    pub(super) fn draw(&self) -> Markup {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        let more = lines.len().saturating_sub(DRAWN);
        if more > 0 {
            // A stable sort, so that the order of the first ones is that of the config.
            lines.sort_by(|one, other| most(&other.runs).total_cmp(&most(&one.runs)));
            lines.truncate(DRAWN);
        }
        let most = lines
            .iter()
            .map(|line| most(&line.runs))
            .fold(0.0, f64::max);
        let top = self.unit.top(most);
        html! {
            figure.plot id={ "plot-" (self.id) } {
                figcaption {
                    h3 { (self.title) }
                    @if lines.is_empty() {
                        p.now { (self.empty) }
                    } @else {
                        p.now { (self.now(&lines)) }
                    }
                }
                div.frame {
                    div.y aria-hidden="true" {
                        span { (self.unit.label(top)) }
                        span { (self.unit.label(top / 2.0)) }
                        span { "0" }
                    }
                    (self.drawing(&lines, top))
                    div.x aria-hidden="true" { @for label in self.times() { span { (label) } } }
                }
                @if lines.len() > 1 {
                    ul.legend {
                        @for (number, line) in lines.iter().enumerate() {
                            li { span class={ "swatch s" (number) } {} (line.of) }
                        }
                        @if more > 0 { li { "and " (more) " more, which are lower" } }
                    }
                }
                @if !lines.is_empty() { (self.table(&lines)) }
            }
        }
    }

    /// The last value of the highest line, and the most of the span.
    fn now(&self, lines: &[&Line]) -> String {
        let last = lines.iter().filter_map(|line| {
            let (ago, value) = line.runs.last()?.last()?;
            (*ago < 60.0 || self.span == Span::Day && *ago < 300.0).then_some(*value)
        });
        let now = last.reduce(f64::max);
        let most = lines
            .iter()
            .map(|line| most(&line.runs))
            .fold(0.0, f64::max);
        let most = self.unit.value(most);
        match now {
            Some(now) => format!("{} now, {most} at most", self.unit.value(now)),
            None => format!("not known now, {most} at most"),
        }
    }

    fn drawing(&self, lines: &[&Line], top: f64) -> Markup {
        let (width, height) = SIZE;
        let x = |ago: f64| width * (1.0 - ago / self.span.seconds());
        let y = |value: f64| height * (1.0 - value / top);
        let label = format!(
            "{}, the last {}: a table follows",
            self.title,
            self.span.word()
        );
        html! {
            svg viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label=(label) {
                @if self.age < self.span.seconds() {
                    // Nothing is known from before the first sample.
                    rect.before x="0" y="0" width=(rounded(x(self.age).max(0.0))) height=(height) {}
                }
                @for step in 0..=2 { @let at = f64::from(step) * height / 2.0;
                    line.rule x1="0" x2=(width) y1=(at) y2=(at) {}
                }
                @for step in 1..LABELS { @let at = width * f64::from(step) / f64::from(LABELS);
                    line.rule x1=(at) x2=(at) y1="0" y2=(height) {}
                }
                @for (number, line) in lines.iter().enumerate() {
                    @for run in &line.runs {
                        @if lines.len() == 1 { path class="area s0" d=(area(run, &x, &y, height)) {} }
                        path class={ "line s" (number) } d=(path(run, &x, &y)) {}
                    }
                }
            }
        }
    }

    fn times(&self) -> Vec<String> {
        let times = (0..LABELS).map(|step| {
            let ago = self.span.seconds() * f64::from(LABELS - step) / f64::from(LABELS);
            format!("−{}", short_time(ago))
        });
        times.chain(["now".to_owned()]).collect()
    }

    /// The greatest value of each line in each part of the span.
    fn table(&self, lines: &[&Line]) -> Markup {
        let part = self.span.seconds() / f64::from(ROWS);
        html! {
            details id={ "table-" (self.id) } {
                summary { "as a table" }
                div.wide tabindex="0" role="region" aria-label={ (self.title) ", as a table" } { table {
                    thead { tr {
                        th scope="col" { "minutes ago" }
                        @for line in lines { th.number scope="col" { (line.of) } }
                    } }
                    tbody {
                        @for row in 0..ROWS {
                            @let (from, to) = (part * f64::from(row), part * f64::from(row + 1));
                            tr {
                                th scope="row" { (from / 60.0) " to " (to / 60.0) }
                                @for line in lines { td.number {
                                    @match most_between(&line.runs, from, to) {
                                        Some(value) => { (self.unit.value(value)) }
                                        None => { "no data" }
                                    }
                                } }
                            }
                        }
                    }
                } }
                p.note { "Greatest values. " (self.since) }
            }
        }
    }
}

fn short_time(seconds: f64) -> String {
    if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3600.0)
    }
}

fn most(runs: &[Run]) -> f64 {
    runs.iter()
        .flatten()
        .map(|(_, value)| *value)
        .fold(0.0, f64::max)
}

fn most_between(runs: &[Run], from: f64, to: f64) -> Option<f64> {
    let inside = runs
        .iter()
        .flatten()
        .filter(|(ago, _)| (from..to).contains(ago));
    inside.map(|(_, value)| *value).reduce(f64::max)
}

/// One digit behind the point: a hundredth of a pixel is seen by nobody.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The path of a run. A point between two of its height is left out, and a single point is a short dash.
fn path(run: &Run, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let points: Vec<(f64, f64)> = run
        .iter()
        .map(|(ago, value)| (rounded(x(*ago)), rounded(y(*value))))
        .collect();
    if let [(x, y)] = points.as_slice() {
        return format!("M{} {y}H{}", rounded(x - 1.5), rounded(x + 1.5));
    }
    let mut text = String::new();
    for (number, (x, y)) in points.iter().enumerate() {
        let beside = |place: Option<usize>| place.and_then(|place| points.get(place));
        let (before, after) = (beside(number.checked_sub(1)), beside(Some(number + 1)));
        let is_flat = before.is_some_and(|one| one.1 == *y) && after.is_some_and(|one| one.1 == *y);
        if !is_flat {
            let word = if number == 0 { 'M' } else { 'L' };
            text.push_str(&format!("{word}{x} {y}"));
        }
    }
    text
}

/// The area under a run.
fn area(run: &Run, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64, height: f64) -> String {
    match (run.first(), run.last()) {
        (Some((first, _)), Some((last, _))) if run.len() > 1 => {
            let (first, last) = (rounded(x(*first)), rounded(x(*last)));
            format!("{}L{last} {height}L{first} {height}Z", path(run, x, y))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(lines: Vec<Line>) -> Plot<'static> {
        Plot {
            id: "lag",
            title: "Behind",
            empty: "nobody",
            unit: Unit::Seconds,
            lines,
            span: Span::Hour,
            age: 1800.0,
            since: "Samples since now.",
        }
    }

    fn line(of: &str, runs: Vec<Run>) -> Line {
        let of = of.to_owned();
        Line { of, runs }
    }

    #[test]
    fn gaps_are_drawn_and_told_and_names_are_escaped() {
        let runs = vec![
            vec![(900.0, 4.0), (890.0, 4.0), (880.0, 4.0)],
            vec![(10.0, 1.0)],
        ];
        let drawn = plot(vec![
            line("<b>&", runs),
            line("other", vec![vec![(10.0, 0.0)]]),
        ])
        .draw()
        .into_string();
        assert!(
            drawn.contains("&lt;b&gt;&amp;") && !drawn.contains("<b>"),
            "{drawn}"
        );
        assert!(drawn.contains("M750 0L755.6 0\""), "{drawn}");
        assert!(drawn.contains("1.00 s now, 4.00 s at most"), "{drawn}");
        assert!(
            drawn.contains("<rect class=\"before\" x=\"0\" y=\"0\" width=\"500\""),
            "{drawn}"
        );
        assert_eq!(drawn.matches("no data").count(), 9 + 11, "{drawn}");
    }

    #[test]
    fn a_plot_without_lines_says_so_and_of_many_the_highest_are_drawn() {
        let drawn = plot(Vec::new()).draw().into_string();
        assert!(
            drawn.contains("nobody") && !drawn.contains("<table"),
            "{drawn}"
        );
        let many = (0..20)
            .map(|number| line(&format!("n{number}."), vec![vec![(5.0, f64::from(number))]]));
        let drawn = plot(many.collect()).draw().into_string();
        assert!(
            drawn.contains("n19.") && drawn.contains("n12.") && !drawn.contains("n11."),
            "{drawn}"
        );
        assert!(drawn.contains("and 12 more"), "{drawn}");
    }

    #[test]
    fn labels_of_the_axis_differ_whatever_it_spans() {
        for span in [Span::Hour, Span::Day] {
            let times = Plot {
                span,
                ..plot(Vec::new())
            }
            .times();
            let mut distinct = times.clone();
            distinct.dedup();
            assert_eq!((times.len(), &times), (5, &distinct));
        }
    }
}
