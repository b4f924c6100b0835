//! The keys that every daemon's section has: its name, its files and its log.

use std::path::PathBuf;

use super::document::Section;
use super::value::{self, NumberRange, TimeRange};
use super::{DaemonConfig, LogFormat, MAX_LOG_COUNT};

/// Where pid files are if the config does not say.
const PIDFILE: &str = "/run/trunkline/%(job_name)s.pid";

const LOG_SIZE: NumberRange = NumberRange {
    least: 4 << 10,
    most: 100 << 30,
};
const DEFAULT_LOG_SIZE: u64 = 5 << 20;
const LOG_COUNT: NumberRange = NumberRange {
    least: 1,
    most: MAX_LOG_COUNT,
};
const DEFAULT_LOG_COUNT: u64 = 3;

pub(super) const KEYS: [&str; 7] = [
    "job_name",
    "logfile",
    "pidfile",
    "log_size",
    "log_count",
    "log_format",
    "stats_period",
];

/// Time between two `stats` lines.
pub(super) const STATS_PERIOD: TimeRange = TimeRange::millis(100, 86_400_000);

/// Reads the shared keys. `file` is the config file's absolute path.
pub(super) fn read(section: &Section<'_>, file: PathBuf) -> DaemonConfig {
    let job_name = job_name(section);
    let log_count = section.number("log_count", LOG_COUNT, DEFAULT_LOG_COUNT);
    DaemonConfig {
        logfile: path(section, "logfile", &job_name),
        pidfile: path(section, "pidfile", &job_name)
            .unwrap_or_else(|| PIDFILE.replace("%(job_name)s", &job_name).into()),
        log_size: section.size("log_size", LOG_SIZE, DEFAULT_LOG_SIZE),
        log_count: usize::try_from(log_count).unwrap_or(usize::MAX),
        log_format: section.choice(
            "log_format",
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            LogFormat::Text,
        ),
        config_file: file,
        job_name,
        warnings: Vec::new(),
    }
}

fn job_name(section: &Section<'_>) -> String {
    match section.text("job_name") {
        Some(text) if value::is_plain_name(&text.value) => text.value,
        Some(_) => {
            section.problem("job_name", &format!("must be {}", value::PLAIN_NAME));
            String::new()
        }
        None => {
            if !section.has("job_name") {
                section.missing("job_name", "the daemon's name in logs and in the database");
            }
            String::new()
        }
    }
}

/// An absolute path with `%(job_name)s` put in.
fn path(section: &Section<'_>, key: &str, job_name: &str) -> Option<PathBuf> {
    let text = section.text(key)?;
    let path = text.value.replace("%(job_name)s", job_name);
    if path.contains("%(") {
        section.problem(key, "only %(job_name)s can stand in for other text");
        return None;
    }
    // A daemon's files must be the same ones whichever directory the next command is run in.
    if !path.starts_with('/') {
        section.problem(key, "must be an absolute path");
        return None;
    }
    if path.ends_with('/') {
        section.problem(key, "must be a file, not a directory");
        return None;
    }
    Some(path.into())
}
