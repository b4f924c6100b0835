//! Units of plots: where an axis ends, and how its labels and values are written. Pure.

use super::parts::grouped;
use crate::output;

/// What a plot's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Seconds,
    /// So many of something a second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// So many of something.
    Count,
}

/// Ends of an axis of seconds: half of each is a plain number, too.
const SECONDS: [f64; 17] = [
    1.0, 2.0, 4.0, 10.0, 20.0, 60.0, 120.0, 240.0, 600.0, 1200.0, 3600.0, 7200.0, 14_400.0,
    43_200.0, 86_400.0, 172_800.0, 864_000.0,
];

impl Unit {
    /// The end of an axis on which `most` has its place.
    pub(super) fn top(self, most: f64) -> f64 {
        let most = if most.is_finite() { most } else { 0.0 };
        match self {
            Unit::Seconds => {
                let found = SECONDS.iter().find(|top| **top >= most);
                found.map_or_else(|| round(most, 10.0), |top| *top)
            }
            Unit::Bytes => {
                let mut top = 1024.0;
                while top < most {
                    top *= 2.0;
                }
                top
            }
            Unit::PerSecond | Unit::Count => round(most.max(10.0), 10.0),
        }
    }

    /// A label of the axis.
    pub(super) fn label(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 60.0 => format!("{} s", short(value)),
            Unit::Seconds if value < 3600.0 => format!("{} min", short(value / 60.0)),
            Unit::Seconds if value < 86_400.0 => format!("{} h", short(value / 3600.0)),
            Unit::Seconds => format!("{} d", short(value / 86_400.0)),
            Unit::Bytes => bytes(value),
            Unit::PerSecond => format!("{}/s", count(value)),
            Unit::Count => count(value),
        }
    }

    /// A value, with as many digits as are useful.
    pub(super) fn value(self, value: f64) -> String {
        match self {
            Unit::Seconds => output::seconds(value),
            Unit::Bytes => bytes(value),
            Unit::PerSecond => format!("{}/s", count(value)),
            Unit::Count => count(value),
        }
    }
}

/// The next of 1, 2, 4 and `base` times a power of `base`.
fn round(most: f64, base: f64) -> f64 {
    let mut power = 1.0;
    while power * base < most {
        power *= base;
    }
    let found = [1.0, 2.0, 4.0]
        .into_iter()
        .map(|step| step * power)
        .find(|top| *top >= most);
    found.unwrap_or(power * base)
}

/// At most one digit behind the point, and none that is zero.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn count(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{} G", short(value / 1e9)),
        value if value >= 1e6 => format!("{} M", short(value / 1e6)),
        value if value >= 1e4 => format!("{} k", short(value / 1e3)),
        value if value >= 100.0 => grouped(value.round() as i64),
        value => short(value),
    }
}

fn bytes(value: f64) -> String {
    const UNITS: [(&str, f64); 4] = [
        ("TB", 1_099_511_627_776.0),
        ("GB", 1_073_741_824.0),
        ("MB", 1_048_576.0),
        ("kB", 1024.0),
    ];
    match UNITS.iter().find(|(_, size)| value >= *size) {
        Some((unit, size)) => format!("{} {unit}", short(value / size)),
        None => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_its_values_and_labels_that_are_plain() {
        for unit in [Unit::Seconds, Unit::PerSecond, Unit::Bytes, Unit::Count] {
            let mut value = 0.0;
            while value < 1e15 {
                let top = unit.top(value);
                assert!(top >= value && top > 0.0, "{unit:?} {value}: {top}");
                assert_ne!(unit.label(top), unit.label(top / 2.0), "{unit:?} {value}");
                value = value * 3.7 + 0.1;
            }
        }
        let said = [
            (Unit::Seconds, 0.3, "1 s", "0.5 s"),
            (Unit::Seconds, 200.0, "4 min", "2 min"),
            (Unit::Bytes, 3_000_000.0, "4 MB", "2 MB"),
            (Unit::PerSecond, 33_000.0, "40 k/s", "20 k/s"),
            (Unit::PerSecond, 1_900.0, "2,000/s", "1,000/s"),
            (Unit::Count, 0.0, "10", "5"),
        ];
        for (unit, most, top, half) in said {
            let end = unit.top(most);
            assert_eq!(
                (unit.label(end).as_str(), unit.label(end / 2.0).as_str()),
                (top, half)
            );
        }
    }
}
