//! Lines over time as SVG: the page's plots of the last hour. Pure.

use std::time::Instant;

use plotters::prelude::*;

use super::samples::Sample;

/// Width and height in pixels.
const SIZE: (u32, u32) = (640, 180);

/// Seconds that a plot goes back at the least.
const LEAST_SPAN: f64 = 60.0;

/// A plot that goes back further than this many seconds is labelled in minutes.
const MINUTES_FROM: f64 = 300.0;

/// Lines over the seconds before now, one a subscriber. A line is made of runs, with a gap where the value is not
/// known.
pub(super) type Lines = Vec<(String, Vec<Run>)>;

/// Points of a line without a gap.
type Run = Vec<(f64, f64)>;

/// Seconds that each subscriber was behind.
pub(super) fn lag(history: &[Sample], names: &[String], now: Instant) -> Lines {
    lines(names, |place| {
        let points = history.iter().map(|sample| {
            let lag = sample.readings.get(place)?.lag?;
            Some((before(sample, now), lag))
        });
        runs(points)
    })
}

/// Rows that each subscriber got in a second, between two samples in which the subscriber's state is known.
pub(super) fn rates(history: &[Sample], names: &[String], now: Instant) -> Lines {
    lines(names, |place| {
        let points = history.windows(2).map(|pair| {
            let [old, new] = pair else { return None };
            let seconds = new.at.duration_since(old.at).as_secs_f64();
            let (before_it, here) = (old.readings.get(place)?, new.readings.get(place)?);
            before_it.lag.and(here.lag)?;
            let rows = here.rows.saturating_sub(before_it.rows);
            (seconds > 0.0).then(|| (before(new, now), rows as f64 / seconds))
        });
        runs(points)
    })
}

/// The runs of consecutive known points.
fn runs(points: impl Iterator<Item = Option<(f64, f64)>>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut goes_on = false;
    for point in points {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) if goes_on => run.push(point),
            (Some(point), _) => runs.push(vec![point]),
            (None, _) => {}
        }
        goes_on = point.is_some();
    }
    runs
}

fn lines(names: &[String], of: impl Fn(usize) -> Vec<Run>) -> Lines {
    let numbered = names.iter().enumerate();
    numbered
        .map(|(place, name)| (name.clone(), of(place)))
        .collect()
}

fn before(sample: &Sample, now: Instant) -> f64 {
    -now.duration_since(sample.at).as_secs_f64()
}

/// Draws lines with a legend.
///
/// # Errors
/// The errors of the drawing library.
pub(super) fn draw(title: &str, lines: &Lines) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|(_, runs)| runs.iter().flatten());
    let since = points().map(|(x, _)| *x).fold(-LEAST_SPAN, f64::min);
    let most = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.05;
    // The time axis has the unit in which its labels are whole numbers.
    let (unit, name_of_unit) = if since < -MINUTES_FROM {
        (60.0, "min")
    } else {
        (1.0, "s")
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            // Half of the last label needs room right of the axis.
            .margin_right(24)
            .caption(title, ("sans-serif", 14))
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(since / unit..0.0, 0.0..most)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(7)
            .y_labels(5)
            .x_label_formatter(&|x| match x {
                x if *x > -0.5 => "now".to_owned(),
                x => format!("{x:.0} {name_of_unit}"),
            })
            .draw()?;
        for (number, (name, runs)) in lines.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let elements = runs.iter().map(|run| {
                let points: Run = run.iter().map(|(x, y)| (x / unit, *y)).collect();
                match points.as_slice() {
                    [one] => Circle::new(*one, 1, color).into_dyn(),
                    _ => PathElement::new(points, color).into_dyn(),
                }
            });
            chart
                .draw_series(elements)?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], color));
        }
        if lines.len() > 1 {
            chart
                .configure_series_labels()
                .border_style(TRANSPARENT)
                .position(SeriesLabelPosition::UpperLeft)
                .draw()?;
        }
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::samples::Reading;

    fn history(now: Instant) -> Vec<Sample> {
        let samples = [
            (40, 0, Some(0.5)),
            (30, 1000, Some(1.0)),
            (20, 1000, None),
            (10, 1000, Some(2.0)),
            (0, 1500, Some(0.0)),
        ];
        let sample = |(ago, rows, lag)| Sample {
            at: now - Duration::from_secs(ago),
            readings: vec![Reading { lag, rows }],
        };
        samples.into_iter().map(sample).collect()
    }

    #[test]
    fn u9_an_outage_is_a_gap_in_both_plots() {
        let now = Instant::now() + Duration::from_secs(3600);
        let names = ["j".to_owned()];
        let (first, second) = (
            vec![(-40.0, 0.5), (-30.0, 1.0)],
            vec![(-10.0, 2.0), (0.0, 0.0)],
        );
        assert_eq!(
            lag(&history(now), &names, now),
            [("j".to_owned(), vec![first, second])]
        );
        assert_eq!(
            rates(&history(now), &names, now),
            [(
                "j".to_owned(),
                vec![vec![(-30.0, 100.0)], vec![(0.0, 50.0)]]
            )]
        );
    }

    #[test]
    fn u9_labels_of_the_axis_differ_whatever_it_spans() {
        for (span, unit) in [
            (60.0, " s"),
            (290.0, " s"),
            (301.0, " min"),
            (3600.0, " min"),
        ] {
            let lines = vec![("j".to_owned(), vec![vec![(-span, 1.0), (0.0, 2.0)]])];
            let svg = draw("lag", &lines).unwrap();
            let labels: Vec<&str> = svg
                .lines()
                .map(str::trim)
                .filter(|line| *line == "now" || line.ends_with(unit))
                .collect();
            let mut distinct = labels.clone();
            distinct.dedup();
            assert!(labels.len() > 3 && labels == distinct, "{span}: {labels:?}");
        }
    }

    #[test]
    fn names_are_escaped_and_a_plot_without_samples_is_drawn() {
        let lines = vec![
            (
                "<b>&".to_owned(),
                vec![vec![(-3.0, 1.0), (0.0, 7.0)], vec![(0.0, 1.0)]],
            ),
            ("other".to_owned(), Vec::new()),
        ];
        let svg = draw("lag", &lines).unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;"), "{svg}");
        assert!(draw("lag", &Vec::new()).unwrap().starts_with("<svg"));
    }
}
