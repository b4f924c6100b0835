//! Sums of groups of rows, and which groups are listed together. Pure.

use std::collections::HashMap;

/// Rows that are listed at once, of each side.
const LISTED: u64 = 500_000;

/// The number of rows in the lines of sums.
pub(super) fn rows(lines: &[String]) -> u64 {
    let counts = lines
        .iter()
        .filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    counts.sum()
}

/// The lines of sums with the group behind the rest, as [`judge::differing`] wants them.
pub(super) fn swapped(lines: &[String]) -> Vec<String> {
    let swap = |line: &String| {
        line.split_once(' ')
            .map(|(group, rest)| format!("{} {group}", rest.replace(' ', ",")))
    };
    lines.iter().filter_map(swap).collect()
}

/// Groups that differ, in sets of which each side has so few rows that they can be listed at once.
pub(super) fn sets(differing: &[String], here: &[String], there: &[String]) -> Vec<Vec<u32>> {
    let mut sizes = HashMap::<u32, u64>::new();
    for line in here.iter().chain(there) {
        let mut words = line.split(' ');
        let group = words.next().and_then(|group| group.parse().ok());
        let count: Option<u64> = words.next().and_then(|count| count.parse().ok());
        if let (Some(group), Some(count)) = (group, count) {
            let size = sizes.entry(group).or_default();
            *size = (*size).max(count);
        }
    }
    let mut sets: Vec<Vec<u32>> = Vec::new();
    let mut size = 0;
    for group in differing
        .iter()
        .filter_map(|group| group.parse::<u32>().ok())
    {
        let of_group = sizes.get(&group).copied().unwrap_or_default();
        match sets.last_mut() {
            Some(set) if size + of_group <= LISTED => {
                set.push(group);
                size += of_group;
            }
            _ => {
                sets.push(vec![group]);
                size = of_group;
            }
        }
    }
    sets
}

pub(super) fn per_million(share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the share is between 0 and 1"
    )]
    let of_million = (share.clamp(0.0, 1.0) * 1_000_000.0).round() as u32;
    of_million
}

#[cfg(test)]
mod tests {
    use super::{super::judge, *};

    #[test]
    fn groups_that_differ_are_listed_in_sets_of_a_bounded_size() {
        let lines = |lines: &[&str]| lines.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let here = lines(&["0 10 5", "1 300000 7", "2 10 3", "3 400000 1"]);
        let there = lines(&["0 10 5", "1 300000 8", "3 400000 2", "4 5 5"]);
        let differing = judge::differing(&swapped(&here), &swapped(&there));
        assert_eq!(differing, ["1", "2", "3", "4"]);
        assert_eq!(sets(&differing, &here, &there), [vec![1, 2], vec![3, 4]]);
        assert_eq!(rows(&here), 700_020);
    }
}
