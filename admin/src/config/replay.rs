//! The file of a replay: section `[replay]`, and `[[subscriber]]` if there are several.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sql::connect::ConnectInfo;
use sql::subscriber::conflict::OnConflict;
use sql::subscriber::session_role::SessionRole;

use super::archive::{self, ARCHIVE_IDENTITY, ARCHIVE_SOURCES, ArchiveConfig, ArchiveSource};
use super::daemon_keys::DaemonConfig;
use super::databases::{self, Referred};
use super::document::Document;
use super::failover::{self, FailoverConfig};
use super::file::{self, ConfigErrors, absolute, process_env};
use super::key::{self, FlagKey, Key, NumberKey, Reload, SizeKey, TextKey, TimeKey, WordKey};
use super::programs::{self, ProgramsConfig};
use super::takers::{self, REPLICATE_DDL, ReplicateDdl, SUBSCRIBER_DB, SubscriberConfig, Takers};
use super::value::{self, NumberRange, TimeRange};
use super::{daemon_keys, names};

/// Everything that `etc/replay.toml` says.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayConfig {
    /// Name, files and log.
    pub daemon: DaemonConfig,
    /// Where the queue is.
    pub provider: ConnectInfo,
    /// The queue (`pgq_queue_name`).
    pub queue: String,
    /// The subscribers that are databases; without one there is an archive.
    pub subscribers: Vec<SubscriberConfig>,
    /// The subscribers that are archives.
    pub archives: Vec<ArchiveConfig>,
    /// The archives that batches are read from where the queue has given them away (`archive_sources`).
    pub archive_sources: Vec<ArchiveSource>,
    /// The file with the identities that open archives that are sealed (`archive_identity`).
    pub archive_identity: Option<PathBuf>,
    /// Connections that copy at the same time.
    pub parallel_copies: usize,
    /// What happens when a row is not as its change says.
    pub on_conflict: OnConflict,
    /// The role that the subscriber's tables are written as (`session_role`).
    pub session_role: SessionRole,
    /// Tables of the provider that the worker adds by itself (`auto_add`): names and patterns; those that begin with
    /// `!` are left out. Empty: no table.
    pub auto_add: Vec<String>,
    /// The longest rest before a failed connection or table is tried again; a parked table rests ten seconds at most.
    pub retry_delay: Duration,
    /// Time between two looks at the queue if no notification comes.
    pub loop_delay: Duration,
    /// Time between two `stats` lines of the log.
    pub stats_period: Duration,
    /// Most events that are merged into one transaction when behind.
    pub max_batch_events: u64,
    /// Bytes of changes that are held in memory before they are written.
    pub chunk_size: u64,
    /// Ordinary sessions do not write the subscriber's tables (`standby`).
    pub standby: bool,
    /// New sessions of a standby's database are read-only by default (`read_only`).
    pub read_only: bool,
    /// A standby logs what it applies where a further node of the set could need it (`relay`).
    pub relay: bool,
    /// Scripts of `replay execute` run on the subscribers (`allow_execute`), where a `[[subscriber]]` does not say
    /// otherwise.
    pub allow_execute: bool,
    /// Which changes of the provider's tables are made on the subscribers by themselves (`replicate_ddl`), where a
    /// `[[subscriber]]` does not say otherwise.
    pub replicate_ddl: ReplicateDdl,
    /// What the node is called in a set (`node`); None: nobody says.
    pub node: Option<String>,
    /// The programs beside the node.
    pub programs: ProgramsConfig,
    /// Where the changes are kept that a later provider never had (`lost_dir`).
    pub lost_dir: PathBuf,
    /// Which standby takes the place of a provider that is off, and what may be lost.
    pub failover: FailoverConfig,
}

const PROVIDER_DB: TextKey = TextKey {
    name: "provider_db",
    form: "connection string",
    default: "required",
    range: "",
    reload: Reload::Taken,
};
const QUEUE_NAME: TextKey = TextKey {
    name: "pgq_queue_name",
    form: "name",
    default: "required",
    range: "",
    reload: Reload::Taken,
};
const PARALLEL_COPIES: NumberKey = NumberKey {
    name: "parallel_copies",
    default: 4,
    range: NumberRange { least: 1, most: 64 },
    reload: Reload::Taken,
};
const ON_CONFLICT: WordKey<OnConflict> = WordKey {
    name: "on_conflict",
    default: ("overwrite", OnConflict::Overwrite),
    others: &[("stop", OnConflict::Stop)],
    reload: Reload::Taken,
};
const SESSION_ROLE: WordKey<SessionRole> = WordKey {
    name: "session_role",
    default: ("replica", SessionRole::Replica),
    others: &[("origin", SessionRole::Origin)],
    reload: Reload::Taken,
};
const AUTO_ADD: TextKey = TextKey {
    name: "auto_add",
    form: "list of patterns",
    default: "none",
    range: "",
    reload: Reload::Taken,
};
const RETRY_DELAY: TimeKey = TimeKey {
    name: "retry_delay",
    default: Duration::from_secs(30),
    range: TimeRange::millis(100, 86_400_000),
    reload: Reload::Taken,
};
const LOOP_DELAY: TimeKey = TimeKey {
    name: "loop_delay",
    default: Duration::from_secs(1),
    range: TimeRange::millis(1, 3_600_000),
    reload: Reload::Taken,
};
const MAX_BATCH_EVENTS: NumberKey = NumberKey {
    name: "max_batch_events",
    default: 100_000,
    range: NumberRange {
        least: 1,
        most: 10_000_000,
    },
    reload: Reload::Taken,
};
const CHUNK_SIZE: SizeKey = SizeKey {
    name: "chunk_size",
    default: 32 << 20,
    range: NumberRange {
        least: 64 << 10,
        most: 1 << 30,
    },
    reload: Reload::Taken,
};

const STANDBY: FlagKey = FlagKey {
    name: "standby",
    default: false,
    reload: Reload::Taken,
};
const READ_ONLY: FlagKey = FlagKey {
    name: "read_only",
    default: true,
    reload: Reload::Taken,
};
const RELAY: FlagKey = FlagKey {
    name: "relay",
    default: true,
    reload: Reload::Taken,
};

const ALLOW_EXECUTE: FlagKey = FlagKey {
    name: "allow_execute",
    default: false,
    reload: Reload::Taken,
};

const NODE: TextKey = TextKey {
    name: "node",
    form: "text",
    default: "none",
    range: daemon_keys::PLAIN_RANGE,
    reload: Reload::Taken,
};

/// Where lost changes are kept if the config does not say.
const DEFAULT_LOST_DIR: &str = "/var/lib/trunkline/%(job_name)s";
const LOST_DIR: TextKey = TextKey {
    name: "lost_dir",
    form: "path",
    default: DEFAULT_LOST_DIR,
    range: daemon_keys::PATH_RANGE,
    reload: Reload::Taken,
};

/// The keys of `[replay]` beside those of every daemon.
pub(super) const KEYS: [&dyn Key; 20] = [
    &PROVIDER_DB,
    &SUBSCRIBER_DB,
    &QUEUE_NAME,
    &PARALLEL_COPIES,
    &ON_CONFLICT,
    &SESSION_ROLE,
    &AUTO_ADD,
    &ARCHIVE_SOURCES,
    &ARCHIVE_IDENTITY,
    &RETRY_DELAY,
    &LOOP_DELAY,
    &MAX_BATCH_EVENTS,
    &CHUNK_SIZE,
    &STANDBY,
    &READ_ONLY,
    &RELAY,
    &ALLOW_EXECUTE,
    &REPLICATE_DDL,
    &NODE,
    &LOST_DIR,
];

impl ReplayConfig {
    /// Whether a file says by itself that the database is a node of a set. Several hosts in `provider_db` say so, too.
    pub fn is_member(&self) -> bool {
        self.standby || self.node.is_some() || self.programs.are_any() || self.failover.is_special()
    }

    /// Whether columns of a subscriber's tables are changed as the provider's were (`replicate_ddl`).
    pub fn replicates_columns(&self, one: &SubscriberConfig) -> bool {
        one.replicate_ddl.unwrap_or(self.replicate_ddl) == ReplicateDdl::Columns
    }

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
    let keys: [&[&dyn Key]; 4] = [&daemon_keys::KEYS, &KEYS, &programs::KEYS, &failover::KEYS];
    let known = keys.map(key::names).concat();
    section.only_keys(&known, &[]);
    let mut found = Referred::default();
    let mut daemon = daemon_keys::read(section, file);
    if !section.has(PROVIDER_DB.name) {
        section.missing(PROVIDER_DB.name, "a connection string");
    }
    let provider = databases::connection(section, PROVIDER_DB.name, &mut found);
    let queue = names::queue(section, QUEUE_NAME.name);
    let Takers {
        subscribers,
        archives,
    } = takers::takers(document, section, &daemon.job_name, &mut found);
    daemon.warnings.extend(found.warnings(mode));
    let parallel_copies = section.number(&PARALLEL_COPIES);
    let on_conflict = section.choice(&ON_CONFLICT);
    let session_role = section.choice(&SESSION_ROLE);
    let auto_add = names::tables(section, AUTO_ADD.name);
    let archive_identity = daemon_keys::path(section, ARCHIVE_IDENTITY.name, &daemon.job_name);
    let archive_sources = archive::sources(section, &archives, archive_identity.as_deref());
    let retry_delay = section.time(&RETRY_DELAY);
    let loop_delay = section.time(&LOOP_DELAY);
    let stats_period = section.time(&daemon_keys::STATS_PERIOD);
    let max_batch_events = section.number(&MAX_BATCH_EVENTS);
    let chunk_size = section.size(&CHUNK_SIZE);
    let standby = section.flag(&STANDBY);
    let read_only = section.flag(&READ_ONLY);
    let relay = section.flag(&RELAY);
    let allow_execute = section.flag(&ALLOW_EXECUTE);
    let replicate_ddl = section.choice(&REPLICATE_DDL);
    let node = section.text(NODE.name).map(|text| text.value);
    if node
        .as_deref()
        .is_some_and(|name| !value::is_plain_name(name))
    {
        section.problem(NODE.name, &format!("must be {}", value::PLAIN_NAME));
    }
    if node.is_some() && subscribers.len() > 1 {
        section.problem(NODE.name, "needs a file with one subscriber");
    }
    if standby && session_role == SessionRole::Origin {
        section.problem(
            STANDBY.name,
            "needs session_role = \"replica\": replay itself would be refused",
        );
    }
    if standby && subscribers.len() > 1 {
        section.problem(STANDBY.name, "needs a file with one subscriber");
    }
    let hosts = provider
        .as_ref()
        .map_or(usize::MAX, |info| info.hosts().len());
    let of_set = standby || node.is_some() || hosts_are_several(hosts);
    let is_alone = subscribers.is_empty() && archives.len() == 1;
    if of_set && !archives.is_empty() && !is_alone {
        section.problem(
            PROVIDER_DB.name,
            "names one host, and the file has no standby and no node, where an archive is beside another subscriber: \
             an archive that follows the provider of a set has a file of its own",
        );
    }
    let lost_dir = daemon_keys::path_or(section, LOST_DIR.name, &daemon.job_name, DEFAULT_LOST_DIR);
    let programs = programs::read(section, hosts, subscribers.len());
    let failover = failover::read(section, hosts);
    Some(ReplayConfig {
        daemon,
        provider: provider?,
        queue: queue?,
        subscribers,
        archives,
        archive_sources,
        archive_identity,
        parallel_copies: usize::try_from(parallel_copies).unwrap_or(1),
        on_conflict,
        session_role,
        auto_add,
        retry_delay,
        loop_delay,
        stats_period,
        max_batch_events,
        chunk_size,
        standby,
        read_only,
        relay,
        allow_execute,
        replicate_ddl,
        node,
        programs,
        lost_dir,
        failover,
    })
}

/// `usize::MAX`: the connection string could not be read, which is told already.
fn hosts_are_several(hosts: usize) -> bool {
    hosts > 1 && hosts < usize::MAX
}
