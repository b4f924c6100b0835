//! Lines over time as SVG: what the page shows of the last hour. Pure.

use std::time::Instant;

use plotters::prelude::*;

use super::samples::Sample;

/// Width and height in pixels.
const SIZE: (u32, u32) = (640, 180);

/// Seconds that a plot goes back at the least.
const LEAST_SPAN: f64 = 60.0;

/// Lines over the seconds before now, one a subscriber.
pub(super) type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// Seconds that each subscriber was behind.
pub(super) fn lag(history: &[Sample], names: &[String], now: Instant) -> Lines {
    lines(names, |place| {
        history
            .iter()
            .filter_map(|sample| {
                let lag = sample.readings.get(place)?.lag?;
                Some((before(sample, now), lag))
            })
            .collect()
    })
}

/// Rows that each subscriber got in a second, between two samples.
pub(super) fn rates(history: &[Sample], names: &[String], now: Instant) -> Lines {
    lines(names, |place| {
        history
            .windows(2)
            .filter_map(|pair| {
                let [old, new] = pair else { return None };
                let seconds = new.at.duration_since(old.at).as_secs_f64();
                let rows = new
                    .readings
                    .get(place)?
                    .rows
                    .saturating_sub(old.readings.get(place)?.rows);
                (seconds > 0.0).then(|| (before(new, now), rows as f64 / seconds))
            })
            .collect()
    })
}

fn lines(names: &[String], of: impl Fn(usize) -> Vec<(f64, f64)>) -> Lines {
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
/// What the drawing library says.
pub(super) fn draw(title: &str, lines: &Lines) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let since = points().map(|(x, _)| *x).fold(-LEAST_SPAN, f64::min);
    let most = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .caption(title, ("sans-serif", 14))
            .x_label_area_size(24)
            .y_label_area_size(56)
            .build_cartesian_2d(since..0.0, 0.0..most)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(7)
            .y_labels(5)
            .x_label_formatter(&|x| format!("{:.0} min", x / 60.0))
            .draw()?;
        for (number, (name, points)) in lines.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color))?
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
        [(20, 0, Some(0.5)), (10, 1000, None), (0, 1500, Some(2.0))]
            .into_iter()
            .map(|(ago, rows, lag)| Sample {
                at: now - Duration::from_secs(ago),
                readings: vec![Reading { lag, rows }],
            })
            .collect()
    }

    #[test]
    fn rates_are_differences_and_unknown_lags_are_left_out() {
        let now = Instant::now() + Duration::from_secs(3600);
        let names = ["j".to_owned()];
        assert_eq!(
            rates(&history(now), &names, now),
            [("j".to_owned(), vec![(-10.0, 100.0), (0.0, 50.0)])]
        );
        assert_eq!(
            lag(&history(now), &names, now),
            [("j".to_owned(), vec![(-20.0, 0.5), (0.0, 2.0)])]
        );
    }

    #[test]
    fn names_are_escaped_and_a_plot_without_samples_is_drawn() {
        let lines = vec![
            ("<b>&".to_owned(), vec![(-3.0, 1.0), (0.0, 7.0)]),
            ("other".to_owned(), Vec::new()),
        ];
        let svg = draw("lag", &lines).unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;"), "{svg}");
        assert!(draw("lag", &Vec::new()).unwrap().starts_with("<svg"));
    }
}
