//! The daemons' logs: a scenario that ends well leaves no line of WARN or ERROR.

use std::path::Path;

/// The lines of level WARN or ERROR that hold none of the allowed texts.
///
/// A line is: time, level, job, message, facts; the level is the second word.
#[must_use]
pub fn unclean_lines(log: &str, allowed: &[&str]) -> Vec<String> {
    log.lines()
        .filter(|line| matches!(line.split_whitespace().nth(1), Some("WARN" | "ERROR")))
        .filter(|line| !allowed.iter().any(|text| line.contains(text)))
        .map(str::to_owned)
        .collect()
}

/// Panics if a log has a line of WARN or ERROR that is not allowed. A log that
/// does not exist is clean.
#[track_caller]
pub fn assert_clean(path: &Path, allowed: &[&str]) {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    let lines = unclean_lines(&log, allowed);
    assert!(
        lines.is_empty(),
        "{} is not clean:\n{}",
        path.display(),
        lines.join("\n")
    );
}
