//! What a daemon has seen in the last hour and in the last day, kept in memory within bounds. Pure.
//!
//! A sample comes every [`PERIOD`]. The day keeps one for every [`FOLDED`] of them: the greatest value of lags and
//! sizes, so that a short peak is not lost, and the mean of rates. What was not known, or not asked, is a gap.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// Time between two samples.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Samples of the hour that become one of the day.
const FOLDED: usize = 12;

/// Samples of the hour.
const HOUR: usize = 360;

/// Samples of the day.
const DAY: usize = 720;

/// The most lines that are kept; a job of a hundred subscribers has three hundred.
const MOST_LINES: usize = 400;

/// A gap of a line is longer than so many periods.
const MISSED: f64 = 3.0;

/// What a line measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Seconds behind.
    Lag,
    /// Seconds since a queue's last tick.
    TickAge,
    /// Rows written since the program began; its line is a rate.
    Rows,
    /// Events a second.
    Events,
    /// Bytes of a queue.
    Bytes,
    /// Rows that are still to be copied.
    Left,
}

impl Measure {
    /// Whether a reading is a count that only grows, of which the line shows the rate.
    fn is_counter(self) -> bool {
        match self {
            Measure::Rows => true,
            Measure::Lag | Measure::TickAge | Measure::Events | Measure::Bytes | Measure::Left => {
                false
            }
        }
    }

    /// Whether the day shows the mean, and not the greatest value.
    fn is_rate(self) -> bool {
        match self {
            Measure::Rows | Measure::Events => true,
            Measure::Lag | Measure::TickAge | Measure::Bytes | Measure::Left => false,
        }
    }
}

/// A value at one moment; none: not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What is measured.
    pub measure: Measure,
    /// Of whom: a consumer, a queue.
    pub of: String,
    /// The value.
    pub value: Option<f64>,
}

/// How far a plot goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Span {
    /// An hour.
    #[default]
    Hour,
    /// A day.
    Day,
}

impl Span {
    /// The span of a query `span=hour` or `span=day`; the hour for any other.
    pub fn of_query(query: Option<&str>) -> Span {
        let is_day = query.is_some_and(|query| query.split('&').any(|pair| pair == "span=day"));
        if is_day { Span::Day } else { Span::Hour }
    }

    /// The word of the query.
    pub fn word(self) -> &'static str {
        match self {
            Span::Hour => "hour",
            Span::Day => "day",
        }
    }

    /// How many seconds it has.
    pub fn seconds(self) -> f64 {
        match self {
            Span::Hour => 3600.0,
            Span::Day => 86_400.0,
        }
    }

    /// Seconds between two of its samples.
    fn period(self) -> f64 {
        match self {
            Span::Hour => PERIOD.as_secs_f64(),
            Span::Day => PERIOD.as_secs_f64() * FOLDED as f64,
        }
    }
}

/// Points of a line without a gap: seconds ago, and the value.
pub(super) type Run = Vec<(f64, f64)>;

/// A line of a plot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) of: String,
    pub(super) runs: Vec<Run>,
}

/// Which line a value belongs to.
#[derive(Debug)]
struct Key {
    measure: Measure,
    of: String,
    /// The last count, of a counter.
    count: Option<(Instant, f64)>,
}

/// All lines at one moment, by their place among the keys; a shorter list has no value for the rest.
#[derive(Debug)]
struct Sample {
    at: Instant,
    values: Vec<Option<f64>>,
}

/// The samples.
#[derive(Debug, Default)]
pub struct History {
    began: Option<(Instant, SystemTime)>,
    keys: Vec<Key>,
    hour: VecDeque<Sample>,
    day: VecDeque<Sample>,
    /// Samples since the day's last one.
    unfolded: usize,
}

impl History {
    /// Adds the readings of one moment.
    pub fn add(&mut self, at: Instant, readings: Vec<Reading>) {
        self.began.get_or_insert_with(|| (at, SystemTime::now()));
        let mut values = vec![None; self.keys.len()];
        for reading in readings {
            let Some(place) = self.place(reading.measure, reading.of) else {
                continue;
            };
            if values.len() <= place {
                values.resize(place + 1, None);
            }
            if let (Some(key), Some(value)) = (self.keys.get_mut(place), values.get_mut(place)) {
                *value = key.value(at, reading.value);
            }
        }
        self.hour.push_back(Sample { at, values });
        self.unfolded += 1;
        if self.unfolded == FOLDED {
            self.unfolded = 0;
            let folded = self.folded(at);
            self.day.push_back(folded);
        }
        while self.hour.len() > HOUR {
            self.hour.pop_front();
        }
        while self.day.len() > DAY {
            self.day.pop_front();
        }
    }

    /// The line's place; none: there are too many lines.
    fn place(&mut self, measure: Measure, of: String) -> Option<usize> {
        let found = self
            .keys
            .iter()
            .position(|key| key.measure == measure && key.of == of);
        if found.is_some() || self.keys.len() >= MOST_LINES {
            return found;
        }
        self.keys.push(Key {
            measure,
            of,
            count: None,
        });
        Some(self.keys.len() - 1)
    }

    /// The last samples of the hour as one of the day.
    fn folded(&self, at: Instant) -> Sample {
        let first = self.hour.len().saturating_sub(FOLDED);
        let values = self.keys.iter().enumerate().map(|(place, key)| {
            let samples = self.hour.iter().skip(first);
            let known: Vec<f64> = samples.filter_map(|one| *one.values.get(place)?).collect();
            let most = known.iter().copied().reduce(f64::max)?;
            Some(if key.measure.is_rate() {
                known.iter().sum::<f64>() / known.len() as f64
            } else {
                most
            })
        });
        Sample {
            at,
            values: values.collect(),
        }
    }

    /// When the first sample was taken; none: there is none yet.
    pub(super) fn began(&self) -> Option<SystemTime> {
        self.began.map(|(_, time)| time)
    }

    /// Seconds since the first sample.
    pub(super) fn age(&self, now: Instant) -> f64 {
        self.began.map_or(0.0, |(at, _)| {
            now.saturating_duration_since(at).as_secs_f64()
        })
    }

    /// The lines of one measure, in the order in which they were first seen.
    pub(super) fn lines(&self, measure: Measure, span: Span, now: Instant) -> Vec<Line> {
        let keys = self
            .keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.measure == measure);
        let lines = keys.map(|(place, key)| Line {
            of: key.of.clone(),
            runs: self.runs(place, span, now),
        });
        lines.filter(|line| !line.runs.is_empty()).collect()
    }

    fn runs(&self, place: usize, span: Span, now: Instant) -> Vec<Run> {
        let samples = match span {
            Span::Hour => &self.hour,
            Span::Day => &self.day,
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut before: Option<f64> = None;
        for sample in samples {
            let ago = now.saturating_duration_since(sample.at).as_secs_f64();
            if ago > span.seconds() {
                continue;
            }
            let goes_on = before.is_some_and(|before| before - ago < MISSED * span.period());
            let value = sample.values.get(place).copied().flatten();
            match (value, runs.last_mut()) {
                (Some(value), Some(run)) if goes_on => run.push((ago, value)),
                (Some(value), _) => runs.push(vec![(ago, value)]),
                (None, _) => {}
            }
            before = value.map(|_| ago);
        }
        runs
    }
}

impl Key {
    /// The value of the line for a reading: of a counter, the rate since the reading before.
    fn value(&mut self, at: Instant, reading: Option<f64>) -> Option<f64> {
        if !self.measure.is_counter() {
            return reading;
        }
        let before = self.count.take();
        self.count = reading.map(|count| (at, count));
        let (then, old) = before?;
        let seconds = at.saturating_duration_since(then).as_secs_f64();
        // A count that went back is of a program that was started again.
        reading
            .filter(|new| seconds > 0.0 && *new >= old)
            .map(|new| (new - old) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(measure: Measure, value: Option<f64>) -> Reading {
        let of = "j".to_owned();
        Reading { measure, of, value }
    }

    /// A history of lag and rows: seconds before the last sample, lag, rows.
    fn history(samples: &[(u64, Option<f64>, f64)]) -> (History, Instant) {
        let now = Instant::now() + Duration::from_secs(200_000);
        let mut history = History::default();
        for (ago, lag, rows) in samples {
            let rows = lag.map(|_| *rows);
            let readings = vec![reading(Measure::Lag, *lag), reading(Measure::Rows, rows)];
            history.add(now - Duration::from_secs(*ago), readings);
        }
        (history, now)
    }

    fn runs(history: &History, measure: Measure, span: Span, now: Instant) -> Vec<Run> {
        let mut lines = history.lines(measure, span, now);
        lines.pop().map_or(Vec::new(), |line| line.runs)
    }

    #[test]
    fn u9_an_outage_is_a_gap_in_both_plots() {
        let (history, now) = history(&[
            (40, Some(0.5), 0.0),
            (30, Some(1.0), 1000.0),
            (20, None, 1000.0),
            (10, Some(2.0), 1000.0),
            (0, Some(0.0), 1500.0),
        ]);
        let lag = runs(&history, Measure::Lag, Span::Hour, now);
        assert_eq!(
            lag,
            [
                vec![(40.0, 0.5), (30.0, 1.0)],
                vec![(10.0, 2.0), (0.0, 0.0)]
            ]
        );
        let rows = runs(&history, Measure::Rows, Span::Hour, now);
        assert_eq!(rows, [vec![(30.0, 100.0)], vec![(0.0, 50.0)]]);
    }

    #[test]
    fn a_machine_that_slept_leaves_a_gap_and_a_count_that_went_back_no_rate() {
        let (history, now) = history(&[
            (900, Some(1.0), 10.0),
            (890, Some(1.0), 20.0),
            (20, Some(1.0), 30.0),
            (10, Some(1.0), 5.0),
            (0, Some(1.0), 15.0),
        ]);
        let lag = runs(&history, Measure::Lag, Span::Hour, now);
        assert_eq!(lag.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
        let rows = runs(&history, Measure::Rows, Span::Hour, now);
        assert_eq!(rows.last(), Some(&vec![(0.0, 1.0)]));
    }

    #[test]
    fn the_day_has_peaks_of_lag_and_means_of_rates_and_nothing_grows_for_ever() {
        let samples: Vec<_> = (0..10_000_u64)
            .map(|at| {
                let ago = (9_999 - at) * 10;
                let lag = if at % 12 == 5 { 60.0 } else { 0.0 };
                (ago, Some(lag), at as f64 * 100.0)
            })
            .collect();
        let (mut history, now) = history(&samples);
        assert_eq!((history.hour.len(), history.day.len()), (HOUR, DAY));
        let day = runs(&history, Measure::Lag, Span::Day, now);
        assert!(day.concat().iter().all(|(_, lag)| *lag == 60.0));
        let rates = runs(&history, Measure::Rows, Span::Day, now).concat();
        assert!(rates.iter().all(|(_, rate)| *rate == 10.0), "{rates:?}");
        let farthest = day.concat().iter().map(|(ago, _)| *ago).fold(0.0, f64::max);
        assert!((86_000.0..=86_400.0).contains(&farthest), "{farthest}");
        for number in 0..1000 {
            let of = number.to_string();
            history.add(
                now,
                vec![Reading {
                    measure: Measure::Left,
                    of,
                    value: Some(1.0),
                }],
            );
        }
        assert_eq!(history.keys.len(), MOST_LINES);
    }
}
