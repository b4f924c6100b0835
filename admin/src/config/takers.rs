//! Those who take the changes: `subscriber_db`, or sections `[[subscriber]]`, each a database or an archive.

use sql::connect::ConnectInfo;

use super::archive::{
    self, ARCHIVE, ARCHIVE_OPTIONS, ArchiveConfig, BASE_EVERY, BASE_FROM, BASE_RATE, ENCRYPT_TO,
    HOOK, MINIMUM_REDUNDANCY, RETENTION, SEGMENT_EVERY, SEGMENT_SIZE, VERIFY_EVERY, VERIFY_RESTORE,
};
use super::daemon_keys;
use super::databases::{self, Referred};
use super::document::{Document, Section};
use super::key::{self, FlagKey, Key, Reload, TextKey, WordKey};
use super::value;

/// Which changes of the provider's tables are made on a subscriber by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicateDdl {
    /// None.
    Off,
    /// Columns that come, go, or get another name or type.
    Columns,
}

/// One subscriber database.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberConfig {
    /// Name of the `[[subscriber]]`; None with `subscriber_db`.
    pub name: Option<String>,
    /// How the database is reached.
    pub db: ConnectInfo,
    /// The subscriber's consumer on the queue: `JOB`, or `JOB/NAME`.
    pub consumer: String,
    /// Whether scripts of `replay execute` run on it (`allow_execute`); None: as the job says.
    pub allow_execute: Option<bool>,
    /// Which changes of the provider's tables are made on it by themselves (`replicate_ddl`); None: as the job says.
    pub replicate_ddl: Option<ReplicateDdl>,
}

impl SubscriberConfig {
    /// What the database is called as the source of a base: its name, or `subscriber` with `subscriber_db`.
    pub fn source_name(&self) -> &str {
        self.name.as_deref().unwrap_or("subscriber")
    }
}

pub(super) const SUBSCRIBER_DB: TextKey = TextKey {
    name: "subscriber_db",
    form: "connection string",
    default: "required, but with [[subscriber]]",
    range: "",
    reload: Reload::Taken,
};
const NAME: TextKey = TextKey {
    name: "name",
    form: "text",
    default: "required",
    range: daemon_keys::PLAIN_RANGE,
    reload: Reload::Taken,
};
const DB: TextKey = TextKey {
    name: "db",
    form: "connection string",
    default: "required, but with archive",
    range: "",
    reload: Reload::Taken,
};

const ALLOW_EXECUTE: FlagKey = FlagKey {
    name: "allow_execute",
    default: false,
    reload: Reload::Taken,
};

pub(super) const REPLICATE_DDL: WordKey<ReplicateDdl> = WordKey {
    name: "replicate_ddl",
    default: ("off", ReplicateDdl::Off),
    others: &[("columns", ReplicateDdl::Columns)],
    reload: Reload::Taken,
};

/// The keys of `[[subscriber]]`.
pub(super) const SUBSCRIBER_KEYS: [&dyn Key; 17] = [
    &NAME,
    &DB,
    &ALLOW_EXECUTE,
    &REPLICATE_DDL,
    &ARCHIVE,
    &ARCHIVE_OPTIONS,
    &SEGMENT_EVERY,
    &SEGMENT_SIZE,
    &BASE_FROM,
    &BASE_EVERY,
    &BASE_RATE,
    &RETENTION,
    &MINIMUM_REDUNDANCY,
    &ENCRYPT_TO,
    &VERIFY_EVERY,
    &VERIFY_RESTORE,
    &HOOK,
];

/// Most subscribers of one replay.
const MAX_SUBSCRIBERS: usize = 100;

/// Those who take the changes.
#[derive(Default)]
pub(super) struct Takers {
    /// Databases.
    pub(super) subscribers: Vec<SubscriberConfig>,
    /// Archives.
    pub(super) archives: Vec<ArchiveConfig>,
}

/// Reads them.
pub(super) fn takers(
    document: &Document<'_>,
    section: &Section<'_>,
    job_name: &str,
    found: &mut Referred,
) -> Takers {
    const SINGLE: &str = SUBSCRIBER_DB.name;
    let listed = document.sections("subscriber");
    let mut takers = Takers::default();
    if section.has(SINGLE) {
        if listed.iter().any(|item| item.has(DB.name)) {
            section.problem(
                SINGLE,
                "cannot be used together with [[subscriber]] sections that have a db",
            );
        }
        let single = databases::connection(section, SINGLE, found);
        takers.subscribers.extend(single.map(|db| SubscriberConfig {
            name: None,
            db,
            consumer: job_name.to_owned(),
            allow_execute: None,
            replicate_ddl: None,
        }));
    }
    if listed.is_empty() && !document.has("subscriber") && !section.has(SINGLE) {
        section.missing(SINGLE, "a connection string, or [[subscriber]] sections");
    }
    if listed.len() > MAX_SUBSCRIBERS {
        let last = listed.last().and_then(Section::line);
        document.report(last, format!("more than {MAX_SUBSCRIBERS} subscribers"));
    }
    let mut names: Vec<String> = Vec::new();
    let mut sources = Vec::new();
    for item in &listed {
        let Some((name, target)) = subscriber(item, found) else {
            continue;
        };
        if names.contains(&name) {
            item.problem(
                NAME.name,
                &format!("{name} is the name of another subscriber too"),
            );
        }
        names.push(name.clone());
        let consumer = format!("{job_name}/{name}");
        match target {
            Target::Database(db) => takers.subscribers.push(SubscriberConfig {
                consumer,
                name: Some(name),
                db,
                allow_execute: item
                    .has(ALLOW_EXECUTE.name)
                    .then(|| item.flag(&ALLOW_EXECUTE)),
                replicate_ddl: item
                    .has(REPLICATE_DDL.name)
                    .then(|| item.choice(&REPLICATE_DDL)),
            }),
            Target::Archive(target) => {
                let same = |one: &ArchiveConfig| one.address.is_place_of(&target.address);
                if takers.archives.iter().any(same) {
                    item.problem(ARCHIVE.name, "is the archive of another subscriber too");
                }
                sources.extend(target.base_from.clone().map(|from| (item, from)));
                takers.archives.push(ArchiveConfig {
                    name,
                    consumer,
                    ..*target
                });
            }
        }
    }
    for (item, from) in sources {
        if !takers.is_source(&from) {
            let text = format!("{from} is neither provider nor a subscriber with db");
            item.problem(BASE_FROM.name, &text);
        }
    }
    takers
}

impl Takers {
    /// Whether the rows of a base can be read there.
    fn is_source(&self, from: &str) -> bool {
        let mut databases = self.subscribers.iter();
        from == "provider" || databases.any(|one| one.source_name() == from)
    }
}

/// What a `[[subscriber]]` writes to.
enum Target {
    Database(ConnectInfo),
    /// Without name and consumer.
    Archive(Box<ArchiveConfig>),
}

fn subscriber(section: &Section<'_>, found: &mut Referred) -> Option<(String, Target)> {
    section.only_keys(&key::names(&SUBSCRIBER_KEYS), &[]);
    const FORM: &str = "each [[subscriber]] has name, and db or archive";
    if !section.has(NAME.name) {
        section.missing(NAME.name, FORM);
    }
    let target = if section.has(ARCHIVE.name) {
        for key in [DB.name, ALLOW_EXECUTE.name, REPLICATE_DDL.name] {
            if section.has(key) {
                section.problem(ARCHIVE.name, &format!("cannot be used together with {key}"));
            }
        }
        archive::read(section).map(Box::new).map(Target::Archive)
    } else {
        for key in archive::TUNING {
            if section.has(key) {
                section.problem(key, "is a key of an archive, and this subscriber has none");
            }
        }
        if !section.has(DB.name) {
            section.missing(DB.name, FORM);
        }
        databases::connection(section, DB.name, found).map(Target::Database)
    };
    let name = section.text(NAME.name)?.value;
    if !value::is_plain_name(&name) {
        section.problem(NAME.name, &format!("must be {}", value::PLAIN_NAME));
    }
    Some((name, target?))
}
