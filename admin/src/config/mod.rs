//! Config files: TOML with the key names that SkyTools users know. A file is read whole and checked whole. The result
//! is a config, or every problem of the file, each with its line and the allowed range. Nothing here touches a
//! database.

mod archive;
mod archive_address;
mod daemon_keys;
mod databases;
mod document;
mod failover;
mod file;
mod key;
mod names;
mod programs;
mod recipients;
mod replay;
mod retention;
mod takers;
#[cfg(test)]
mod tests;
mod ticker;
mod value;

use std::path::Path;

use file::process_env;
use key::Key;

pub use archive::{ArchiveConfig, ArchiveSource};
pub use archive_address::{ArchiveAddress, BucketAddress, StoreKind};
pub use daemon_keys::{DaemonConfig, LogFormat, PortConfig};
pub use failover::FailoverConfig;
pub use file::{ConfigErrors, Problem};
pub use key::Setting;
pub use programs::ProgramsConfig;
pub use replay::ReplayConfig;
pub use retention::{RetentionPolicy, Unit as RetentionUnit};
pub use takers::{ReplicateDdl, SubscriberConfig};
pub use ticker::{Databases, TickerConfig};

/// A file of either kind.
#[derive(Debug, Clone)]
pub enum AnyConfig {
    /// A file with a section `[ticker]`.
    Ticker(Box<TickerConfig>),
    /// A file with a section `[replay]`.
    Replay(Box<ReplayConfig>),
}

/// Every key that a config file can have.
pub fn settings() -> Vec<Setting> {
    let sections: [(&'static str, &[&dyn Key]); 6] = [
        ("", &daemon_keys::KEYS),
        ("[ticker]", &ticker::KEYS),
        ("[replay]", &replay::KEYS),
        ("[replay]", &programs::KEYS),
        ("[replay]", &failover::KEYS),
        ("[[subscriber]]", &takers::SUBSCRIBER_KEYS),
    ];
    let of = |(section, keys): (&'static str, &[&dyn Key])| {
        let all = keys.iter().map(|key| key.setting(section));
        all.collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(of).collect()
}

/// Reads a file of either kind; the file's section tells the kind.
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
