//! The plot of a report: a panel for each workload, a bar for each peer.

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measurement::{Entry, FAILED, SHARE};

const WIDTH: u32 = 900;
const TITLE: i32 = 26;
const BAR: i32 = 20;
const GAP: i32 = 14;
/// Where bars begin, and the length of the longest.
const LEFT: i32 = 110;
const LONGEST: f64 = 560.0;
/// The most characters of a reason in the plot.
const LABEL: usize = 90;

/// What a panel compares: a value for a bar, how it reads, and a thin mark behind it.
struct Bar<'a> {
    peer: &'a str,
    value: f64,
    mark: Option<f64>,
    label: String,
}

fn bar(entry: &Entry) -> Option<Bar<'_>> {
    let (value, mark, label) = match (entry.rate, entry.seconds, entry.p99) {
        (None, Some(p50), Some(p99)) => (
            p50,
            Some(p99),
            format!("p50 {:.0} ms, p99 {:.0} ms", p50 * 1e3, p99 * 1e3),
        ),
        (Some(rate), seconds, _) => {
            // A rate is kept with its unit; a rate of an older run may have no unit.
            let unit = entry.unit.as_deref().unwrap_or_default();
            let rate_text = if unit == SHARE {
                format!("{rate:.2} {unit}")
            } else {
                format!("{rate:.0} {unit}")
            };
            match seconds {
                Some(seconds) => (rate, None, format!("{rate_text} ({seconds:.2} s)")),
                None => (rate, None, rate_text),
            }
        }
        (None, Some(seconds), None) => (seconds, None, format!("{seconds:.2} s")),
        // A failed peer is shown as failed, not left out.
        (None, None, _) if entry.note.starts_with(FAILED) => {
            (0.0, None, entry.note.chars().take(LABEL).collect())
        }
        (None, None, _) => return None,
    };
    Some(Bar {
        peer: &entry.peer,
        value,
        mark,
        label,
    })
}

/// Whether more or less is better, for the panel's title.
fn direction(entry: &Entry) -> &'static str {
    match (entry.rate, entry.unit.as_deref()) {
        (Some(_), Some(SHARE)) | (None, _) => "less is better",
        (Some(_), _) => "more is better",
    }
}

fn colour(peer: &str) -> RGBColor {
    match peer {
        "trunkline" => RGBColor(0x1f, 0x6f, 0xb2),
        "built-in" => RGBColor(0x5c, 0x9e, 0x5c),
        "londiste" | "PgQ 3.5" => RGBColor(0xc8, 0x7a, 0x2b),
        "slony" => RGBColor(0x9a, 0x5f, 0xa8),
        _ => RGBColor(0x90, 0x90, 0x90),
    }
}

/// The plot as the text of an SVG file.
pub(crate) fn svg(entries: &[Entry]) -> anyhow::Result<String> {
    let mut panels: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        match panels.iter_mut().find(|(name, _)| *name == entry.workload) {
            Some((_, of_it)) => of_it.push(entry),
            None => panels.push((&entry.workload, vec![entry])),
        }
    }
    let height: i32 = panels
        .iter()
        .map(|(_, of_it)| TITLE + GAP + BAR * i32::try_from(of_it.len()).unwrap_or(0))
        .sum();
    let mut text = String::new();
    {
        let size = (WIDTH, u32::try_from(height + GAP).unwrap_or(WIDTH));
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area, &panels).map_err(|error| anyhow!("draw the plot: {error}"))?;
        area.present()
            .map_err(|error| anyhow!("draw the plot: {error}"))?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Area<'a>, panels: &[(&str, Vec<&Entry>)]) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let title = ("sans-serif", 15).into_font().style(FontStyle::Bold);
    let mut top = GAP;
    for (name, entries) in panels {
        let said = entries.first().map_or("", |entry| direction(entry));
        area.draw_text(
            &format!("{name} ({said})"),
            &TextStyle::from(title.clone()),
            (10, top),
        )?;
        top += TITLE;
        let bars: Vec<Bar<'_>> = entries.iter().filter_map(|entry| bar(entry)).collect();
        let longest = bars
            .iter()
            .flat_map(|bar| [Some(bar.value), bar.mark])
            .flatten()
            .fold(f64::MIN_POSITIVE, f64::max);
        for one in &bars {
            draw_bar(area, one, longest, top)?;
            top += BAR;
        }
        top += GAP;
    }
    Ok(())
}

fn draw_bar<'a>(area: &Area<'a>, bar: &Bar<'_>, longest: f64, top: i32) -> Drawn<'a> {
    // A bar of zero length is still visible.
    let end = |value: f64| LEFT + ((value / longest * LONGEST) as i32).max(1);
    let colour = colour(bar.peer);
    let (high, low) = (top + 2, top + BAR - 3);
    let text = ("sans-serif", 13).into_font();
    let middle = (high + low) / 2;
    area.draw_text(
        bar.peer,
        &TextStyle::from(text.clone()).pos(Pos::new(HPos::Right, VPos::Center)),
        (LEFT - 8, middle),
    )?;
    let mut right = end(bar.value);
    area.draw(&Rectangle::new(
        [(LEFT, high), (right, low)],
        colour.filled(),
    ))?;
    if let Some(mark) = bar.mark {
        area.draw(&Rectangle::new(
            [(right, high), (end(mark), low)],
            colour.mix(0.3).filled(),
        ))?;
        right = right.max(end(mark));
    }
    area.draw_text(
        &bar.label,
        &TextStyle::from(text).pos(Pos::new(HPos::Left, VPos::Center)),
        (right + 6, middle),
    )
}
