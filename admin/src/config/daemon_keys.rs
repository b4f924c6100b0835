//! What every daemon's section has (name, files and log), and the keys of these.

use std::path::PathBuf;
use std::time::Duration;

use super::document::Section;
use super::key::{Key, NumberKey, Reload, SizeKey, TextKey, TimeKey, WordKey};
use super::names;
use super::value::{self, NumberRange, TimeRange};

/// What every daemon's config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Name in logs, in `application_name` and, for replay, of the consumer; one plain word.
    pub job_name: String,
    /// Where the log goes; None: standard error, which only a foreground daemon has.
    pub logfile: Option<PathBuf>,
    /// Locked while the daemon runs; holds its process id.
    pub pidfile: PathBuf,
    /// Bytes after which the log is rotated.
    pub log_size: u64,
    /// Rotated logs that are kept.
    pub log_count: usize,
    /// Form of a log line.
    pub log_format: LogFormat,
    /// The port for metrics and the status page; None: there is none.
    pub port: Option<PortConfig>,
    /// The file that was read, as an absolute path.
    pub config_file: PathBuf,
    /// Lines about what an operator should mend but what does not stop the daemon, such as a password that every user
    /// can read. [`crate::cli::warn`] prints them.
    pub warnings: Vec<String>,
}

/// Where a daemon listens for readers of its state, and who may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// Address and port (`http_listen`).
    pub listen: String,
    /// The file with the token that readers must know (`http_token_file`); None: everybody who reaches the port may
    /// read.
    pub token_file: Option<PathBuf>,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `time LEVEL job message key=value ...`
    Text,
    /// One JSON object a line.
    Json,
}

/// Where pid files are if the config does not say.
const DEFAULT_PIDFILE: &str = "/run/trunkline/%(job_name)s.pid";

/// What a name that stands in paths and in names of sessions may hold.
pub(super) const PLAIN_RANGE: &str = "letters, digits, _, - and ., at most 100 bytes";

/// What a path may be.
pub(super) const PATH_RANGE: &str = "absolute; %(job_name)s is replaced";

const JOB_NAME: TextKey = TextKey {
    name: "job_name",
    form: "text",
    default: "required",
    range: PLAIN_RANGE,
    reload: Reload::Restart,
};
const LOGFILE: TextKey = TextKey {
    name: "logfile",
    form: "path",
    default: "standard error",
    range: PATH_RANGE,
    reload: Reload::Restart,
};
const PIDFILE: TextKey = TextKey {
    name: "pidfile",
    form: "path",
    default: DEFAULT_PIDFILE,
    range: PATH_RANGE,
    reload: Reload::Restart,
};
const LOG_SIZE: SizeKey = SizeKey {
    name: "log_size",
    default: 5 << 20,
    range: NumberRange {
        least: 4 << 10,
        most: 100 << 30,
    },
    reload: Reload::Restart,
};
/// Rotated logs that are kept.
const LOG_COUNT: NumberKey = NumberKey {
    name: "log_count",
    default: 3,
    range: NumberRange {
        least: 1,
        most: 1000,
    },
    reload: Reload::Restart,
};
const LOG_FORMAT: WordKey<LogFormat> = WordKey {
    name: "log_format",
    default: ("text", LogFormat::Text),
    others: &[("json", LogFormat::Json)],
    reload: Reload::Restart,
};
/// Time between two `stats` lines.
pub(super) const STATS_PERIOD: TimeKey = TimeKey {
    name: "stats_period",
    default: Duration::from_secs(30),
    range: TimeRange::millis(100, 86_400_000),
    reload: Reload::Taken,
};

const HTTP_LISTEN: TextKey = TextKey {
    name: "http_listen",
    form: "address and port",
    default: "none",
    range: "",
    reload: Reload::Taken,
};
const HTTP_TOKEN_FILE: TextKey = TextKey {
    name: "http_token_file",
    form: "path",
    default: "none",
    range: PATH_RANGE,
    reload: Reload::Taken,
};

pub(super) const KEYS: [&dyn Key; 9] = [
    &JOB_NAME,
    &LOGFILE,
    &PIDFILE,
    &LOG_SIZE,
    &LOG_COUNT,
    &LOG_FORMAT,
    &STATS_PERIOD,
    &HTTP_LISTEN,
    &HTTP_TOKEN_FILE,
];

/// Reads the shared keys. `file` is the config file's absolute path.
pub(super) fn read(section: &Section<'_>, file: PathBuf) -> DaemonConfig {
    let job_name = job_name(section);
    let log_count = section.number(&LOG_COUNT);
    DaemonConfig {
        logfile: path(section, LOGFILE.name, &job_name),
        pidfile: path_or(section, PIDFILE.name, &job_name, DEFAULT_PIDFILE),
        log_size: section.size(&LOG_SIZE),
        log_count: usize::try_from(log_count).unwrap_or(usize::MAX),
        log_format: section.choice(&LOG_FORMAT),
        port: port(section, &job_name),
        config_file: file,
        job_name,
        warnings: Vec::new(),
    }
}

fn port(section: &Section<'_>, job_name: &str) -> Option<PortConfig> {
    let token_file = path(section, HTTP_TOKEN_FILE.name, job_name);
    if token_file.is_some() && !section.has(HTTP_LISTEN.name) {
        section.problem(HTTP_TOKEN_FILE.name, "needs http_listen");
    }
    let listen = names::address(section, HTTP_LISTEN.name)?;
    Some(PortConfig { listen, token_file })
}

/// A path, or another one in its place.
pub(super) fn path_or(section: &Section<'_>, key: &str, job_name: &str, other: &str) -> PathBuf {
    path(section, key, job_name).unwrap_or_else(|| other.replace("%(job_name)s", job_name).into())
}

fn job_name(section: &Section<'_>) -> String {
    match section.text(JOB_NAME.name) {
        Some(text) if value::is_plain_name(&text.value) => text.value,
        Some(_) => {
            section.problem(JOB_NAME.name, &format!("must be {}", value::PLAIN_NAME));
            String::new()
        }
        None => {
            if !section.has(JOB_NAME.name) {
                section.missing(
                    JOB_NAME.name,
                    "the daemon's name in logs and in the database",
                );
            }
            String::new()
        }
    }
}

/// An absolute path with `%(job_name)s` put in.
pub(super) fn path(section: &Section<'_>, key: &str, job_name: &str) -> Option<PathBuf> {
    let text = section.text(key)?;
    let path = text.value.replace("%(job_name)s", job_name);
    if path.contains("%(") {
        section.problem(key, "only %(job_name)s can stand in for other text");
        return None;
    }
    // A daemon's files must be the same files, whichever directory the next command is run in.
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
