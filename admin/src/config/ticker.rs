//! The file of the ticker: section `[ticker]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sql::connect::ConnectInfo;

use super::databases::{self, Found};
use super::document::{Document, Section};
use super::file::{self, ConfigErrors};
use super::value::TimeRange;
use super::{DaemonConfig, absolute, daemon_keys, names, process_env};

/// Everything that `etc/ticker.toml` says.
#[derive(Debug, Clone)]
pub struct TickerConfig {
    /// Name, files and log.
    pub daemon: DaemonConfig,
    /// The server, and the database if [`Databases::FromDb`].
    pub db: ConnectInfo,
    /// Which databases of the server are ticked.
    pub databases: Databases,
    /// Queues that `install` makes in each database.
    pub queues: Vec<String>,
    /// Between two rounds of rotation and other upkeep.
    pub maint_delay: Duration,
    /// Between two looks for work while there is some.
    pub loop_delay: Duration,
    /// Before a failed database is tried again, and between two looks at the retry queue.
    pub retry_delay: Duration,
    /// Between two `stats` lines of the log.
    pub stats_period: Duration,
}

/// Which databases of the server are ticked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// The one of `db`.
    FromDb,
    /// These.
    Named(Vec<String>),
    /// Every database that has the queue installed.
    All,
}

const KEYS: [&str; 6] = [
    "db",
    "databases",
    "queues",
    "maint_delay",
    "loop_delay",
    "retry_delay",
];

const MAINT_DELAY: TimeRange = TimeRange::millis(100, 86_400_000);
const LOOP_DELAY: TimeRange = TimeRange::millis(1, 3_600_000);
const RETRY_DELAY: TimeRange = TimeRange::millis(100, 86_400_000);

impl TickerConfig {
    /// Reads and checks a file. Errors: all problems at once. Touches no database.
    pub fn load(path: &Path) -> Result<TickerConfig, ConfigErrors> {
        let (text, mode) = file::read(path)?;
        TickerConfig::parse(&text, mode, path, &process_env)
    }

    pub(super) fn parse(
        text: &str,
        mode: u32,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<TickerConfig, ConfigErrors> {
        let document = Document::parse(text, env);
        if document.has("replay") && !document.has("ticker") {
            document.report_missing("is the file of a replay, not of a ticker".into());
        } else {
            document.only_sections(&["ticker"]);
        }
        let config = read(&document.section("ticker"), absolute(path), mode);
        document.close(config, path)
    }
}

fn read(section: &Section<'_>, file: PathBuf, mode: u32) -> Option<TickerConfig> {
    let known: Vec<&str> = daemon_keys::KEYS.iter().chain(&KEYS).copied().collect();
    section.only_keys(&known, &["http_listen"]);
    let mut found = Found::default();
    let db = databases::connection(section, "db", &mut found);
    let databases = databases(section);
    let mut daemon = daemon_keys::read(section, file);
    daemon.warnings.extend(found.warnings(mode));
    let queues = names::queues(section);
    let maint_delay = section.time("maint_delay", MAINT_DELAY, Duration::from_secs(600));
    let loop_delay = section.time("loop_delay", LOOP_DELAY, Duration::from_millis(20));
    let retry_delay = section.time("retry_delay", RETRY_DELAY, Duration::from_secs(30));
    let stats_period = section.time(
        "stats_period",
        daemon_keys::STATS_PERIOD,
        Duration::from_secs(30),
    );
    let db = match (db, section.has("db"), section.has("databases")) {
        (Some(db), ..) => db,
        (None, true, _) => return None,
        // The server comes from the environment then, as for psql.
        (None, false, true) => match "".parse() {
            Ok(db) => db,
            Err(error) => {
                section.problem("db", &sql::connect::ConninfoError::to_string(&error));
                return None;
            }
        },
        (None, false, false) => {
            section.missing("db", "a connection string, or databases = [...]");
            return None;
        }
    };
    Some(TickerConfig {
        daemon,
        db,
        databases,
        queues,
        maint_delay,
        loop_delay,
        retry_delay,
        stats_period,
    })
}

fn databases(section: &Section<'_>) -> Databases {
    const KEY: &str = "databases";
    let Some(texts) = section.texts(KEY) else {
        return Databases::FromDb;
    };
    let list: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    if list == ["all"] {
        return Databases::All;
    }
    if list.is_empty() || list.iter().any(String::is_empty) {
        section.problem(KEY, "must be \"all\" or a list of names, at least one");
    }
    if names::has_duplicate(&list) {
        section.problem(KEY, "names a database twice");
    }
    Databases::Named(list)
}
