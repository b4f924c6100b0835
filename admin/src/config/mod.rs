//! Config files: TOML with the key names that SkyTools users know. A file is read whole, checked
//! whole, and either gives a config or every problem it has, each with line and allowed range.
//! Nothing here touches a database.

mod daemon_keys;
mod databases;
mod document;
mod file;
mod key;
mod names;
mod replay;
#[cfg(test)]
mod tests;
mod ticker;
mod value;

use std::path::{Path, PathBuf};

use key::Key;

pub use file::{ConfigErrors, Problem};
pub use key::Setting;
pub use replay::{OnConflict, ReplayConfig, SessionRole, SubscriberConfig};
pub use ticker::{Databases, TickerConfig};

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
    /// The file that was read, as an absolute path.
    pub config_file: PathBuf,
    /// What an operator should mend but what does not stop us, such as a password that every
    /// user can read; [`crate::cli::warn`] prints it.
    pub warnings: Vec<String>,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `time LEVEL job message key=value ...`
    Text,
    /// One JSON object a line.
    Json,
}

/// A file of either kind.
#[derive(Debug, Clone)]
pub enum AnyConfig {
    /// It has a `[ticker]`.
    Ticker(Box<TickerConfig>),
    /// It has a `[replay]`.
    Replay(Box<ReplayConfig>),
}

/// Every key that a config file can have.
pub fn settings() -> Vec<Setting> {
    let sections: [(&'static str, &[&dyn Key]); 4] = [
        ("", &daemon_keys::KEYS),
        ("[ticker]", &ticker::KEYS),
        ("[replay]", &replay::KEYS),
        ("[[subscriber]]", &replay::SUBSCRIBER_KEYS),
    ];
    let of = |(section, keys): (&'static str, &[&dyn Key])| {
        let all = keys.iter().map(|key| key.setting(section));
        all.collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(of).collect()
}

/// Reads a file of either kind; which one, its section says.
pub fn load_any(path: &Path) -> Result<AnyConfig, ConfigErrors> {
    let (text, mode) = file::read(path)?;
    let kind = document::Document::parse(&text, &process_env);
    if kind.has("ticker") {
        let config = TickerConfig::parse(&text, mode, path, &process_env)?;
        return Ok(AnyConfig::Ticker(Box::new(config)));
    }
    if kind.has("replay") {
        let config = ReplayConfig::parse(&text, mode, path, &process_env)?;
        return Ok(AnyConfig::Replay(Box::new(config)));
    }
    kind.report_missing("section [ticker] or [replay] is missing".into());
    kind.close(None, path)
}

fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
