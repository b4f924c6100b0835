//! Values of a config file: times, sizes, names, and variables of the environment. Pure.

use std::fmt;
use std::time::Duration;

/// An allowed time, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeRange {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

/// An allowed number or size, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberRange {
    pub(super) least: u64,
    pub(super) most: u64,
}

const TIME_UNITS: [(&str, f64); 16] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("sec", 1.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("min", 60.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("h", 3600.0),
    ("hour", 3600.0),
    ("hours", 3600.0),
    ("d", 86400.0),
    ("day", 86400.0),
    ("days", 86400.0),
    ("", 1.0),
];

/// PostgreSQL's units: 1 kB is 1024 bytes.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1 << 10),
    ("KB", 1 << 10),
    ("MB", 1 << 20),
    ("GB", 1 << 30),
    ("TB", 1 << 40),
    ("", 1),
];

/// What a time must look like, for messages.
pub(super) const TIME_FORM: &str = "seconds or a string such as \"10 ms\", \"5 min\"";

/// What a size must look like, for messages.
pub(super) const SIZE_FORM: &str = "bytes or a string such as \"5 MB\"";

/// `10 ms` as seconds; None: not a time. The number may be negative, not finite, or absurd: the range refuses it.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = split_unit(text);
    let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// `5 MB` as bytes; None: not a size. Negative numbers and fractions of a byte are not sizes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let start = text
        .char_indices()
        .find(|(_, c)| c.is_ascii_alphabetic())
        .map_or(text.len(), |(at, _)| at);
    let (number, unit) = text.split_at(start);
    (number.trim_end(), unit)
}

impl TimeRange {
    pub(super) const fn millis(least: u64, most: u64) -> TimeRange {
        TimeRange {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        }
    }

    /// The duration, if the range has it; no range has NaN.
    pub(super) fn accept(self, seconds: f64) -> Option<Duration> {
        let inside = seconds >= self.least.as_secs_f64() && seconds <= self.most.as_secs_f64();
        if inside {
            Duration::try_from_secs_f64(seconds).ok()
        } else {
            None
        }
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}",
            spoken_time(self.least),
            spoken_time(self.most)
        )
    }
}

impl NumberRange {
    pub(super) fn accept(self, number: u64) -> Option<u64> {
        (self.least..=self.most).contains(&number).then_some(number)
    }

    /// The range with the largest unit that keeps whole numbers.
    pub(super) fn as_sizes(self) -> String {
        format!("{} to {}", spoken_size(self.least), spoken_size(self.most))
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.least, self.most)
    }
}

pub(super) fn spoken_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} s", time.as_secs_f64()),
        86400.. if seconds.is_multiple_of(86400) => plural(seconds / 86400, "day"),
        3600.. if seconds.is_multiple_of(3600) => plural(seconds / 3600, "hour"),
        _ => format!("{} s", time.as_secs_f64()),
    }
}

fn plural(count: u64, unit: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{s}")
}

pub(super) fn spoken_size(bytes: u64) -> String {
    let unit = ["GB", "MB", "kB"]
        .into_iter()
        .zip([1u64 << 30, 1 << 20, 1 << 10])
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    match unit {
        Some((name, size)) => format!("{} {name}", bytes / size),
        None => format!("{bytes} bytes"),
    }
}

/// Replaces each `${NAME}` by the environment's value; the error says what is wrong with a `${NAME}`.
pub(super) fn with_environment(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after
            .split_once('}')
            .ok_or("\"${\" without its closing \"}\"")?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("between ${ and } must stand the name of an environment variable".into());
        }
        let value = env(name).ok_or(format!("environment variable {name} is not set"))?;
        result.push_str(before);
        result.push_str(&value);
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}

/// Whether a name may be a word in logs, and a part of file names and of consumer names.
pub(super) fn is_plain_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(char::is_alphanumeric)
        && name.len() <= 100
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// What a plain name is, for messages.
pub(super) const PLAIN_NAME: &str =
    "letters, digits, \"_\", \"-\" and \".\", beginning with a letter or digit, at most 100 bytes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(seconds("10 ms"), Some(0.01));
        assert_eq!(seconds("1.5h"), Some(5400.0));
        assert_eq!(seconds("-1 s"), Some(-1.0));
        assert_eq!(seconds("2 fortnights"), None);
        assert_eq!(seconds(""), None);
        assert_eq!(seconds("ms"), None);
        let range = TimeRange::millis(1, 3_600_000);
        assert_eq!(range.accept(0.02), Some(Duration::from_millis(20)));
        for bad in [0.0, -1.0, 1e99, f64::NAN, f64::INFINITY, 3600.1] {
            assert_eq!(range.accept(bad), None, "{bad}");
        }
        assert_eq!(range.to_string(), "0.001 s to 1 hour");
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(bytes("5 MB"), Some(5 << 20));
        assert_eq!(bytes("64kB"), Some(64 << 10));
        assert_eq!(bytes("10"), Some(10));
        assert_eq!(bytes("-1 MB"), None);
        assert_eq!(bytes("99999999999 TB"), None);
        let range = NumberRange {
            least: 65536,
            most: 10 << 30,
        };
        assert_eq!(range.as_sizes(), "64 kB to 10 GB");
    }

    #[test]
    fn environment_variables_are_replaced_or_missed() {
        let env = |name: &str| (name == "HOST").then(|| "h1".to_owned());
        assert_eq!(
            with_environment("host=${HOST} x", &env).unwrap(),
            "host=h1 x"
        );
        assert_eq!(with_environment("50 $ {x}", &env).unwrap(), "50 $ {x}");
        for bad in ["${NONE}", "${HOST", "${}", "${A-B}", "${1A}"] {
            assert!(with_environment(bad, &env).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_names_are_one_safe_word() {
        for good in ["db1-queue", "a.b_c", "ж1"] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in ["", "-a", ".", "../x", "a b", "a/b", "a#b", "a\nb", "a=b"] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
    }
}
