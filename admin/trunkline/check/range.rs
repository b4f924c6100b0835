//! A range of numbers that are well, in the words of the guidelines for Nagios plugins. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Numbers that are well: those from `start` to `end`, both included; or, `inside`, those that are not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    start: f64,
    end: f64,
    inside: bool,
}

impl Range {
    /// Numbers up to a limit.
    pub(crate) fn up_to(end: f64) -> Range {
        Range {
            start: 0.0,
            end,
            inside: false,
        }
    }

    /// Whether a number is one to tell of.
    pub(crate) fn alerts(self, value: f64) -> bool {
        (self.start..=self.end).contains(&value) == self.inside
    }

    /// The limit of a plain range, above which a number is told of; None for any other range.
    pub(crate) fn plain(self) -> Option<f64> {
        let is_plain = self.start == 0.0 && self.end.is_finite() && !self.inside;
        is_plain.then_some(self.end)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let wrong = || {
            "a limit is 0 or more, or a range: START:END, START: or ~:END, @ before it for what lies inside"
                .to_owned()
        };
        let (inside, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (start, end) = rest.split_once(':').unwrap_or(("", rest));
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let start = match start {
            "~" => f64::NEG_INFINITY,
            "" => 0.0,
            text => number(text).ok_or_else(wrong)?,
        };
        let end = match (end, rest.contains(':')) {
            ("", true) => f64::INFINITY,
            (text, _) => number(text).ok_or_else(wrong)?,
        };
        if start > end && !rest.contains(':') {
            return Err("a limit is 0 or more; ~:END has no lower end".to_owned());
        }
        if start > end {
            return Err(format!("{text}: the range begins above its end"));
        }
        Ok(Range { start, end, inside })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inside {
            f.write_str("@")?;
        }
        match self.start {
            start if start == f64::NEG_INFINITY => f.write_str("~:")?,
            start if start != 0.0 || self.end == f64::INFINITY => write!(f, "{start}:")?,
            _ => {}
        }
        if self.end.is_finite() {
            write!(f, "{}", self.end)?;
        }
        Ok(())
    }
}

impl Serialize for Range {
    /// A plain limit is a number, as it always was; any other range its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.plain() {
            Some(end) => serializer.serialize_f64(end),
            None => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_guidelines() {
        // The guidelines' own examples, and those that are nearly wrong.
        let cases: [(&str, &[f64], &[f64]); 7] = [
            ("10", &[0.0, 10.0], &[-0.1, 10.1]),
            ("10:", &[10.0, 1e9], &[9.9, -1.0]),
            ("~:10", &[-1e9, 10.0], &[10.1]),
            ("10:20", &[10.0, 20.0], &[9.9, 20.1]),
            ("@10:20", &[9.9, 20.1], &[10.0, 20.0]),
            ("@~:5", &[5.1], &[5.0, -3.0]),
            ("-5:-1.5", &[-2.0], &[0.0, -6.0]),
        ];
        for (text, well, told) in cases {
            let range: Range = text.parse().unwrap();
            assert_eq!(range.to_string(), text);
            assert!(well.iter().all(|value| !range.alerts(*value)), "{text}");
            assert!(told.iter().all(|value| range.alerts(*value)), "{text}");
        }
        assert_eq!(":5".parse(), Ok(Range::up_to(5.0)));
        for wrong in ["", "@", "x", "20:10", "1:2:3", "inf", "~", "nan:1", "1,5"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_plain_limit_is_a_number_in_json() {
        let json = |text: &str| serde_json::to_string(&text.parse::<Range>().unwrap()).unwrap();
        assert_eq!(json("30"), "30.0");
        assert_eq!(json("@10:20"), "\"@10:20\"");
    }
}
