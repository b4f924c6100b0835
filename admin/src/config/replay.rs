//! The file of a replay: section `[replay]`, and `[[subscriber]]` if there are several.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sql::connect::ConnectInfo;

use super::databases::{self, Found};
use super::document::{Document, Section};
use super::file::{self, ConfigErrors};
use super::value::{self, NumberRange, TimeRange};
use super::{DaemonConfig, absolute, daemon_keys, names, process_env};

/// Everything that `etc/replay.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayConfig {
    /// Name, files and log.
    pub daemon: DaemonConfig,
    /// Where the queue is.
    pub provider: ConnectInfo,
    /// The queue (`pgq_queue_name`).
    pub queue: String,
    /// At least one.
    pub subscribers: Vec<SubscriberConfig>,
    /// Connections that copy at the same time.
    pub parallel_copies: usize,
    /// What happens when a row is not as its change says.
    pub on_conflict: OnConflict,
    /// As what the subscriber's tables are written (`session_role`).
    pub session_role: SessionRole,
    /// Tables of the provider that the worker adds by itself: names and patterns, those that
    /// begin with `!` are left out (`auto_add`). Empty: none.
    pub auto_add: Vec<String>,
    /// The longest rest before a failed connection or table is tried again; a parked table rests ten seconds at most.
    pub retry_delay: Duration,
    /// Between two looks at the queue if no notification comes.
    pub loop_delay: Duration,
    /// Between two `stats` lines of the log.
    pub stats_period: Duration,
    /// Most events that are merged into one transaction when behind.
    pub max_batch_events: u64,
    /// Bytes of changes that are held in memory before they are written.
    pub chunk_size: u64,
    /// Address and port of the status page and the metrics; None: there are none.
    pub http_listen: Option<String>,
}

/// One subscriber database.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberConfig {
    /// Name of the `[[subscriber]]`; None with `subscriber_db`.
    pub name: Option<String>,
    /// Where it is.
    pub db: ConnectInfo,
    /// Its consumer on the queue: `JOB`, or `JOB/NAME`.
    pub consumer: String,
}

pub use sql::conflict::OnConflict;

/// `session_replication_role` of the sessions that write the subscriber's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRole {
    /// Triggers and foreign keys do not act. It takes a superuser, or a grant on the parameter.
    Replica,
    /// An ordinary session's: foreign keys are enforced, and tables whose triggers would act are
    /// refused. It takes no right.
    Origin,
}

const KEYS: [&str; 12] = [
    "provider_db",
    "subscriber_db",
    "pgq_queue_name",
    "parallel_copies",
    "on_conflict",
    "session_role",
    "auto_add",
    "retry_delay",
    "loop_delay",
    "max_batch_events",
    "chunk_size",
    "http_listen",
];
const NOT_YET: [&str; 1] = ["allow_execute"];

const LOOP_DELAY: TimeRange = TimeRange::millis(1, 3_600_000);
const RETRY_DELAY: TimeRange = TimeRange::millis(100, 86_400_000);
const PARALLEL_COPIES: NumberRange = NumberRange { least: 1, most: 64 };
const BATCH_EVENTS: NumberRange = NumberRange {
    least: 1,
    most: 10_000_000,
};
const CHUNK_SIZE: NumberRange = NumberRange {
    least: 64 << 10,
    most: 1 << 30,
};

/// Most subscribers of one replay.
const MAX_SUBSCRIBERS: usize = 100;

impl ReplayConfig {
    /// Reads and checks a file. Errors: all problems at once. Touches no database.
    pub fn load(path: &Path) -> Result<ReplayConfig, ConfigErrors> {
        let (text, mode) = file::read(path)?;
        ReplayConfig::parse(&text, mode, path, &process_env)
    }

    pub(super) fn parse(
        text: &str,
        mode: u32,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ReplayConfig, ConfigErrors> {
        let document = Document::parse(text, env);
        if document.has("ticker") && !document.has("replay") {
            document.report_missing("is the file of a ticker, not of a replay".into());
        } else {
            document.only_sections(&["replay", "subscriber"]);
        }
        let config = read(&document, absolute(path), mode);
        document.close(config, path)
    }
}

fn read(document: &Document<'_>, file: PathBuf, mode: u32) -> Option<ReplayConfig> {
    let section = &document.section("replay");
    let known: Vec<&str> = daemon_keys::KEYS.iter().chain(&KEYS).copied().collect();
    section.only_keys(&known, &NOT_YET);
    let mut found = Found::default();
    let mut daemon = daemon_keys::read(section, file);
    if !section.has("provider_db") {
        section.missing("provider_db", "a connection string");
    }
    let provider = databases::connection(section, "provider_db", &mut found);
    let queue = names::queue(section, "pgq_queue_name");
    let subscribers = subscribers(document, section, &daemon.job_name, &mut found);
    daemon.warnings.extend(found.warnings(mode));
    let parallel_copies = section.number("parallel_copies", PARALLEL_COPIES, 4);
    let on_conflict = section.choice(
        "on_conflict",
        &[
            ("overwrite", OnConflict::Overwrite),
            ("stop", OnConflict::Stop),
        ],
        OnConflict::Overwrite,
    );
    let session_role = section.choice(
        "session_role",
        &[
            ("replica", SessionRole::Replica),
            ("origin", SessionRole::Origin),
        ],
        SessionRole::Replica,
    );
    let auto_add = names::tables(section, "auto_add");
    let retry_delay = section.time("retry_delay", RETRY_DELAY, Duration::from_secs(30));
    let loop_delay = section.time("loop_delay", LOOP_DELAY, Duration::from_secs(1));
    let stats_period = section.time(
        "stats_period",
        daemon_keys::STATS_PERIOD,
        Duration::from_secs(30),
    );
    let max_batch_events = section.number("max_batch_events", BATCH_EVENTS, 100_000);
    let chunk_size = section.size("chunk_size", CHUNK_SIZE, 32 << 20);
    let http_listen = names::address(section, "http_listen");
    Some(ReplayConfig {
        daemon,
        provider: provider?,
        queue: queue?,
        subscribers,
        parallel_copies: usize::try_from(parallel_copies).unwrap_or(1),
        on_conflict,
        session_role,
        auto_add,
        retry_delay,
        loop_delay,
        stats_period,
        max_batch_events,
        chunk_size,
        http_listen,
    })
}

fn subscribers(
    document: &Document<'_>,
    section: &Section<'_>,
    job_name: &str,
    found: &mut Found,
) -> Vec<SubscriberConfig> {
    const SINGLE: &str = "subscriber_db";
    let listed = document.sections("subscriber");
    if section.has(SINGLE) {
        if !listed.is_empty() {
            section.problem(SINGLE, "cannot be used together with [[subscriber]]");
        }
        let single = databases::connection(section, SINGLE, found);
        return single
            .map(|db| SubscriberConfig {
                name: None,
                db,
                consumer: job_name.to_owned(),
            })
            .into_iter()
            .collect();
    }
    if listed.is_empty() && !document.has("subscriber") {
        section.missing(SINGLE, "a connection string, or [[subscriber]] sections");
    }
    if listed.len() > MAX_SUBSCRIBERS {
        let last = listed.last().and_then(Section::line);
        document.report(last, format!("more than {MAX_SUBSCRIBERS} subscribers"));
    }
    let mut subscribers: Vec<SubscriberConfig> = Vec::new();
    for item in &listed {
        let Some((name, db)) = subscriber(item, found) else {
            continue;
        };
        if subscribers
            .iter()
            .any(|other| other.name.as_deref() == Some(&name))
        {
            item.problem(
                "name",
                &format!("{name} is the name of another subscriber too"),
            );
        }
        subscribers.push(SubscriberConfig {
            consumer: format!("{job_name}/{name}"),
            name: Some(name),
            db,
        });
    }
    subscribers
}

fn subscriber(section: &Section<'_>, found: &mut Found) -> Option<(String, ConnectInfo)> {
    section.only_keys(&["name", "db"], &[]);
    for key in ["name", "db"] {
        if !section.has(key) {
            section.missing(key, "each [[subscriber]] has name and db");
        }
    }
    let db = databases::connection(section, "db", found);
    let name = section.text("name")?.value;
    if !value::is_plain_name(&name) {
        section.problem("name", &format!("must be {}", value::PLAIN_NAME));
    }
    Some((name, db?))
}
