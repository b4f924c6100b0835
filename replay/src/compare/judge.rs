//! Whether a row differs, from looks at both sides. Pure.
//!
//! The subscriber's rows in one snapshot are the provider's at one tick. A row is looked at on the provider, then on
//! the subscriber once the subscriber has passed a tick which shows the first look, then on the provider again. So the
//! subscriber's look is of a moment between the two others. Where the provider has the same version of a row in both,
//! the subscriber must have it, too. Other rows are looked at again.

use std::collections::HashMap;

use serde::Deserialize;

/// Rounds after which a row is taken for one that is changed all the time.
pub(super) const ROUNDS: u32 = 12;

/// Rounds in a row in which the provider has no row of a key, and the subscriber has one that is never touched.
const STILL: u32 = 3;

/// Changes on the subscriber from one round to the next after which a row counts as followed.
const MOVES: u32 = 3;

/// One row, as a side has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Another one after each change; for rows without a key, how many there are.
    pub(super) version: String,
    /// The text of the key.
    pub(super) key: String,
    /// A hash of each column.
    pub(super) columns: Vec<String>,
}

/// A look's rows by the number of their keys.
pub(super) type Look = HashMap<usize, Vec<Seen>>;

#[derive(Deserialize)]
struct Line(usize, String, String, Vec<String>);

/// Reads the answer to a look at these keys.
pub(super) fn look(
    lines: &[String],
    keys: &[&str],
    has_key: bool,
) -> Result<Look, serde_json::Error> {
    let mut look = Look::new();
    for line in lines {
        let Line(mut number, version, key, columns) = serde_json::from_str(line)?;
        if !has_key {
            number = keys.iter().position(|one| *one == key).unwrap_or(number);
        }
        look.entry(number).or_default().push(Seen {
            version,
            key,
            columns,
        });
    }
    Ok(look)
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The subscriber does not have it.
    Missing,
    /// The provider does not have it.
    Extra,
    /// The subscriber has it with other values.
    Changed,
}

/// What the looks of a round say about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Both sides have the same.
    Equal,
    /// The sides differ.
    Differs,
    /// It was changed meanwhile.
    Open,
    /// It is changed on both sides again and again.
    Followed,
}

/// What is remembered of a row from one round to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The subscriber's versions of the round before.
    before: Option<Vec<String>>,
    /// Rounds in a row in which nothing has moved.
    still: u32,
    /// How often the subscriber's row was changed between two rounds.
    moves: u32,
    /// Some look at the provider has seen the row.
    was_here: bool,
}

impl Memory {
    /// Judges a round: the provider before, the subscriber, the provider after.
    pub(super) fn judge(
        &mut self,
        before: &[Seen],
        there: &[Seen],
        after: &[Seen],
        has_key: bool,
    ) -> Verdict {
        if same(before, there, has_key) || same(after, there, has_key) {
            return Verdict::Equal;
        }
        self.was_here |= !before.is_empty() || !after.is_empty();
        let was_left_alone = versions(before) == versions(after);
        if was_left_alone && has_key && !before.is_empty() {
            return Verdict::Differs;
        }
        let now = versions(there);
        let stayed = self.before.as_ref() == Some(&now);
        self.moves += u32::from(self.before.is_some() && !stayed);
        self.still = match (was_left_alone, stayed) {
            (true, true) => self.still + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        self.before = Some(now);
        match (self.still >= STILL, self.was_here && self.moves >= MOVES) {
            (true, _) => Verdict::Differs,
            (false, true) => Verdict::Followed,
            (false, false) => Verdict::Open,
        }
    }

    /// What is said of a row that is still open after the last round. Each write on the subscriber brings all that the
    /// provider has; a row that changes on the provider, and not on the subscriber, differs. A row that only the
    /// subscriber has follows nothing, however often a program there writes it.
    pub(super) fn at_last(&self) -> Verdict {
        if self.was_here && self.moves > 0 {
            Verdict::Followed
        } else {
            Verdict::Differs
        }
    }
}

fn same(here: &[Seen], there: &[Seen], has_key: bool) -> bool {
    match (here, there) {
        ([], []) => true,
        ([here], [there]) if has_key => here.columns == there.columns,
        ([here], [there]) => here.version == there.version,
        _ => false,
    }
}

fn versions(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|one| one.version.clone()).collect()
}

/// How the sides differ, and the places of the columns that do.
pub(super) fn kind(here: &[Seen], there: &[Seen]) -> (Kind, Vec<usize>) {
    match (here, there) {
        ([], _) => (Kind::Extra, Vec::new()),
        (_, []) => (Kind::Missing, Vec::new()),
        ([here, ..], [there, ..]) => {
            let count = |seen: &Seen| seen.version.parse::<u64>().unwrap_or_default();
            if here.columns.is_empty() {
                let kind = if count(here) > count(there) {
                    Kind::Missing
                } else {
                    Kind::Extra
                };
                return (kind, Vec::new());
            }
            let pairs = here.columns.iter().zip(&there.columns).enumerate();
            let differing = pairs.filter(|(_, (here, there))| here != there);
            (Kind::Changed, differing.map(|(at, _)| at).collect())
        }
    }
}

/// How many equal rows without a key one side has more than the other.
pub(super) fn apart(here: &[Seen], there: &[Seen]) -> u64 {
    let count = |seen: &[Seen]| -> u64 {
        let one = seen.first();
        one.and_then(|one| one.version.parse().ok())
            .unwrap_or_default()
    };
    count(here).abs_diff(count(there))
}

/// The keys whose rows are not the same in two lists of `HASH KEY`; a key can come more than once.
pub(super) fn differing(here: &[String], there: &[String]) -> Vec<String> {
    let mut left: HashMap<&str, u32> = HashMap::with_capacity(here.len());
    for line in here {
        *left.entry(line).or_default() += 1;
    }
    let key = |line: &str| line.split_once(' ').map(|(_, key)| key.to_owned());
    let mut keys = Vec::new();
    for line in there {
        match left.get_mut(line.as_str()) {
            Some(count) if *count > 0 => *count -= 1,
            _ => keys.extend(key(line)),
        }
    }
    let only_here = left.into_iter().filter(|(_, count)| *count > 0);
    keys.extend(only_here.filter_map(|(line, _)| key(line)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: u32, value: &str) -> Vec<Seen> {
        vec![Seen {
            version: version.to_string(),
            key: "(1)".into(),
            columns: vec!["k".into(), value.into()],
        }]
    }

    #[test]
    fn a_row_that_the_provider_left_alone_differs_at_once() {
        let (here, other) = (seen(1, "a"), seen(9, "b"));
        let mut memory = Memory::default();
        assert_eq!(memory.judge(&here, &other, &here, true), Verdict::Differs);
        assert_eq!(memory.judge(&here, &[], &here, true), Verdict::Differs);
        assert_eq!(kind(&here, &other), (Kind::Changed, vec![1]));
        assert_eq!(kind(&here, &[]).0, Kind::Missing);
        assert_eq!(kind(&[], &here).0, Kind::Extra);
    }

    #[test]
    fn a_row_that_was_changed_meanwhile_is_looked_at_again() {
        let mut memory = Memory::default();
        let there = seen(9, "b");
        let round = memory.judge(&seen(1, "a"), &there, &seen(2, "c"), true);
        assert_eq!((round, memory.at_last()), (Verdict::Open, Verdict::Differs));
        // The subscriber's row changes, too: it follows.
        let round = memory.judge(&seen(2, "c"), &seen(10, "d"), &seen(3, "e"), true);
        assert_eq!(
            (round, memory.at_last()),
            (Verdict::Open, Verdict::Followed)
        );
        for version in [11, 12] {
            let round = memory.judge(&seen(3, "e"), &seen(version, "x"), &seen(4, "f"), true);
            let followed = if version == 12 {
                Verdict::Followed
            } else {
                Verdict::Open
            };
            assert_eq!(round, followed);
        }
        let round = memory.judge(&seen(3, "e"), &seen(13, "e"), &seen(4, "f"), true);
        assert_eq!(round, Verdict::Equal);
    }

    #[test]
    fn a_row_that_only_the_subscriber_has_must_lie_still_for_some_rounds() {
        let mut memory = Memory::default();
        let there = seen(9, "b");
        assert_eq!(memory.judge(&[], &there, &[], true), Verdict::Open);
        assert_eq!(memory.judge(&[], &seen(10, "b"), &[], true), Verdict::Open);
        assert_eq!(memory.judge(&[], &seen(10, "b"), &[], true), Verdict::Open);
        assert_eq!(
            memory.judge(&[], &seen(10, "b"), &[], true),
            Verdict::Differs
        );
    }

    #[test]
    fn a_row_that_only_the_subscriber_has_and_that_is_written_there_all_the_time_differs() {
        let mut memory = Memory::default();
        for version in 1..=ROUNDS {
            let round = memory.judge(&[], &seen(version, "b"), &[], true);
            assert_eq!(round, Verdict::Open);
        }
        assert_eq!(memory.at_last(), Verdict::Differs);
    }

    #[test]
    fn rows_without_a_key_are_counted() {
        let counted = |count| {
            vec![Seen {
                columns: Vec::new(),
                ..seen(count, "").remove(0)
            }]
        };
        let mut memory = Memory::default();
        for _ in 0..2 {
            let round = memory.judge(&counted(2), &counted(1), &counted(2), false);
            assert_eq!(round, Verdict::Open);
        }
        let round = memory.judge(&counted(2), &counted(1), &counted(2), false);
        assert_eq!(round, Verdict::Differs);
        assert_eq!(kind(&counted(2), &counted(1)).0, Kind::Missing);
        assert_eq!(
            memory.judge(&counted(2), &counted(2), &counted(3), false),
            Verdict::Equal
        );
    }

    #[test]
    fn two_lists_are_compared_row_by_row_and_equal_rows_are_counted() {
        let list = |lines: &[&str]| {
            lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>()
        };
        let here = list(&["1 (a)", "2 (b)", "3 (c)", "5 (d x)", "5 (d x)"]);
        let there = list(&["1 (a)", "9 (b)", "4 (e)", "5 (d x)"]);
        assert_eq!(differing(&here, &there), ["(b)", "(c)", "(d x)", "(e)"]);
        assert!(differing(&here, &here).is_empty());
    }
}
