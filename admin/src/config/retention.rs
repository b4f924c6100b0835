//! How long an archive keeps what it has, in barman's words.

use std::{fmt, str::FromStr, time::Duration};

/// What of an archive is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// Everything: nothing expires.
    Everything,
    /// What it takes to restore any moment of this time before the archive's end.
    RecoveryWindow {
        /// How many units.
        count: u32,
        /// Of what.
        unit: Unit,
    },
    /// So many of the newest bases, with what follows them; not 0.
    Redundancy(u32),
}

/// The unit of a recovery window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 24 hours.
    Days,
    /// 7 days.
    Weeks,
    /// 31 days, as barman counts.
    Months,
}

impl Unit {
    const ALL: [(Unit, &'static str, u64); 3] = [
        (Unit::Days, "DAYS", 1),
        (Unit::Weeks, "WEEKS", 7),
        (Unit::Months, "MONTHS", 31),
    ];

    fn told(self) -> (&'static str, u64) {
        let mut all = Unit::ALL.into_iter();
        let found = all.find(|(unit, ..)| *unit == self);
        found.map_or(("DAYS", 1), |(_, word, days)| (word, days))
    }
}

impl RetentionPolicy {
    /// The length of a recovery window; none: the policy is another one.
    pub fn window(self) -> Option<Duration> {
        match self {
            RetentionPolicy::RecoveryWindow { count, unit } => {
                let days = u64::from(count) * unit.told().1;
                Some(Duration::from_secs(days * 86_400))
            }
            RetentionPolicy::Everything | RetentionPolicy::Redundancy(_) => None,
        }
    }
}

/// The most that a policy counts: with more, a window would begin before the calendar does.
const MOST: u32 = 9_999;

/// The forms of a policy, for whoever has written another one.
pub(super) const FORM: &str =
    "RECOVERY WINDOW OF n DAYS, WEEKS or MONTHS, or REDUNDANCY n, with n from 1 to 9999";

impl FromStr for RetentionPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<RetentionPolicy, String> {
        let wrong = || format!("must be {FORM}");
        let text = text.to_ascii_uppercase();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |word: &str| {
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            let number = word.parse().ok().filter(|_| is_number);
            number
                .filter(|number| (1..=MOST).contains(number))
                .ok_or_else(wrong)
        };
        match words.as_slice() {
            ["REDUNDANCY", count] => Ok(RetentionPolicy::Redundancy(number(count)?)),
            ["RECOVERY", "WINDOW", "OF", count, unit] => {
                let mut all = Unit::ALL.into_iter();
                let found = all
                    .find(|(_, word, _)| *unit == *word || Some(*unit) == word.strip_suffix('S'));
                let (unit, ..) = found.ok_or_else(wrong)?;
                Ok(RetentionPolicy::RecoveryWindow {
                    count: number(count)?,
                    unit,
                })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for RetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetentionPolicy::Everything => f.write_str("everything"),
            RetentionPolicy::RecoveryWindow { count, unit } => {
                write!(f, "RECOVERY WINDOW OF {count} {}", unit.told().0)
            }
            RetentionPolicy::Redundancy(count) => write!(f, "REDUNDANCY {count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_in_barmans_words_and_nothing_else_is() {
        let day = Duration::from_secs(86_400);
        for (text, said, window) in [
            ("REDUNDANCY 3", "REDUNDANCY 3", None),
            ("redundancy  1", "REDUNDANCY 1", None),
            (
                "RECOVERY WINDOW OF 14 DAYS",
                "RECOVERY WINDOW OF 14 DAYS",
                Some(14 * day),
            ),
            (
                "recovery window of 2 week",
                "RECOVERY WINDOW OF 2 WEEKS",
                Some(14 * day),
            ),
            (
                " Recovery Window Of 1 Month ",
                "RECOVERY WINDOW OF 1 MONTHS",
                Some(31 * day),
            ),
        ] {
            let policy: RetentionPolicy = text.parse().unwrap();
            assert_eq!(
                (policy.to_string().as_str(), policy.window()),
                (said, window)
            );
        }
        for bad in [
            "",
            "REDUNDANCY 0",
            "REDUNDANCY +1",
            "REDUNDANCY 10000",
            "REDUNDANCY",
            "RECOVERY WINDOW OF 0 DAYS",
            "RECOVERY WINDOW OF 3 YEARS",
            "RECOVERY WINDOW OF DAYS",
            "14 DAYS",
            "RECOVERY WINDOW OF 14 DAYS AND MORE",
        ] {
            let why = bad.parse::<RetentionPolicy>().unwrap_err();
            assert!(why.starts_with("must be RECOVERY WINDOW"), "{bad}: {why}");
        }
    }
}
