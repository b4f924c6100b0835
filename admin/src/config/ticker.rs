//! The file of the ticker: section `[ticker]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sql::connect::ConnectInfo;

use super::daemon_keys::DaemonConfig;
use super::databases::{self, Referred};
use super::document::{Document, Section};
use super::file::{self, ConfigErrors, absolute, process_env};
use super::key::{self, Key, NumberKey, Reload, TextKey, TimeKey};
use super::value::{NumberRange, TimeRange};
use super::{daemon_keys, names};

/// Everything that `etc/ticker.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct TickerConfig {
    /// Name, files and log.
    pub daemon: DaemonConfig,
    /// The server, and the database if [`Databases::FromDb`].
    pub db: ConnectInfo,
    /// Which databases of the server are ticked.
    pub databases: Databases,
    /// Queues that `install` makes in each database.
    pub queues: Vec<String>,
    /// Time between two rounds of rotation and other upkeep.
    pub maint_delay: Duration,
    /// Time between two looks for work while there is work.
    pub loop_delay: Duration,
    /// The part of the time that making ticks may take, percent; ticks are made more seldom where they would take more.
    pub tick_cost: u64,
    /// The longest time between two looks for work that `tick_cost` asks for.
    pub max_lag: Duration,
    /// Time before a failed database is tried again, and between two looks at the retry queue.
    pub retry_delay: Duration,
    /// Time between two `stats` lines of the log.
    pub stats_period: Duration,
}

/// Which databases of the server are ticked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// The database that `db` names.
    FromDb,
    /// The databases that a list names.
    Named(Vec<String>),
    /// Every database that has the queue installed.
    All,
}

const DB: TextKey = TextKey {
    name: "db",
    form: "connection string",
    default: "required, but with databases",
    range: "",
    reload: Reload::Taken,
};
const DATABASES: TextKey = TextKey {
    name: "databases",
    form: "list of names, or all",
    default: "the one of db",
    range: "",
    reload: Reload::Taken,
};
const QUEUES: TextKey = TextKey {
    name: "queues",
    form: "list of names",
    default: "none",
    range: "",
    reload: Reload::Restart,
};
const MAINT_DELAY: TimeKey = TimeKey {
    name: "maint_delay",
    default: Duration::from_secs(600),
    range: TimeRange::millis(100, 86_400_000),
    reload: Reload::Taken,
};
const LOOP_DELAY: TimeKey = TimeKey {
    name: "loop_delay",
    default: Duration::from_millis(20),
    range: TimeRange::millis(1, 3_600_000),
    reload: Reload::Taken,
};
const TICK_COST: NumberKey = NumberKey {
    name: "tick_cost",
    default: 5,
    range: NumberRange {
        least: 1,
        most: 100,
    },
    reload: Reload::Taken,
};
const MAX_LAG: TimeKey = TimeKey {
    name: "max_lag",
    default: Duration::from_millis(80),
    range: TimeRange::millis(1, 3_600_000),
    reload: Reload::Taken,
};
const RETRY_DELAY: TimeKey = TimeKey {
    name: "retry_delay",
    default: Duration::from_secs(30),
    range: TimeRange::millis(100, 86_400_000),
    reload: Reload::Taken,
};

/// The keys of `[ticker]` beside those of every daemon.
pub(super) const KEYS: [&dyn Key; 8] = [
    &DB,
    &DATABASES,
    &QUEUES,
    &MAINT_DELAY,
    &LOOP_DELAY,
    &TICK_COST,
    &MAX_LAG,
    &RETRY_DELAY,
];

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
    let known = [key::names(&daemon_keys::KEYS), key::names(&KEYS)].concat();
    section.only_keys(&known, &[]);
    let mut found = Referred::default();
    let db = databases::connection(section, DB.name, &mut found);
    let databases = databases(section);
    let mut daemon = daemon_keys::read(section, file);
    daemon.warnings.extend(found.warnings(mode));
    let queues = names::queues(section, QUEUES.name);
    let maint_delay = section.time(&MAINT_DELAY);
    let loop_delay = section.time(&LOOP_DELAY);
    let tick_cost = section.number(&TICK_COST);
    let max_lag = section.time(&MAX_LAG);
    let retry_delay = section.time(&RETRY_DELAY);
    let stats_period = section.time(&daemon_keys::STATS_PERIOD);
    let db = match (db, section.has(DB.name), section.has(DATABASES.name)) {
        (Some(db), ..) => db,
        (None, true, _) => return None,
        // Without `db` the server comes from the environment, as for psql.
        (None, false, true) => match "".parse() {
            Ok(db) => db,
            Err(error) => {
                section.problem(DB.name, &sql::connect::ConninfoError::to_string(&error));
                return None;
            }
        },
        (None, false, false) => {
            section.missing(DB.name, "a connection string, or databases = [...]");
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
        tick_cost,
        max_lag,
        retry_delay,
        stats_period,
    })
}

fn databases(section: &Section<'_>) -> Databases {
    const KEY: &str = DATABASES.name;
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
