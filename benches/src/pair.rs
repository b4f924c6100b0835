//! Two PostgreSQL 15 servers with the same settings for every peer, the pgbench
//! tables on both, and a marker that tells when everything is applied.

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tests::{Cluster, Digest, Scratch, Server, Session, run_in, same, tables_of};

use crate::tables::Tables;

/// The database on the provider, and that of the first subscriber.
pub(crate) const DB: &str = "bench";

/// With more tables than this, all are summed up in one statement a side.
const MANY: usize = 50;

/// The settings that differ from a fresh Debian installation, on both servers, for every peer. wal_level is logical for
/// all, because one peer needs it.
pub(crate) const SETTINGS: [(&str, &str); 13] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("wal_level", "logical"),
    ("max_wal_senders", "20"),
    ("max_replication_slots", "20"),
    ("max_logical_replication_workers", "20"),
    ("max_worker_processes", "30"),
    // Without this setting built-in's worker, enabled again, would do nothing for up to 5 s.
    ("wal_retrieve_retry_interval", "100ms"),
    ("shared_buffers", "512MB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("maintenance_work_mem", "256MB"),
];

/// A provider and a subscriber with the same empty or filled tables.
pub(crate) struct Pair {
    pub(crate) provider: Cluster,
    pub(crate) subscriber: Cluster,
    /// The databases of the subscriber's server, one for each subscriber.
    pub(crate) targets: Vec<String>,
    /// A directory for the peer's files.
    pub(crate) scratch: Scratch,
    writer: Session,
    readers: Vec<Session>,
}

/// `(table, digest)` of every table, equal on both sides.
pub(crate) type Checked = Vec<(String, Digest)>;

impl Pair {
    /// Starts two servers: the provider has pgbench tables of this scale, every table with a key, and each subscriber
    /// has the same tables, empty.
    pub(crate) fn new(tables: impl Into<Tables>) -> Self {
        let tables = tables.into();
        let start = || {
            SETTINGS
                .iter()
                .fold(
                    Cluster::builder(&Server::debian15()),
                    |builder, (name, value)| builder.set(name, value),
                )
                .start()
        };
        let (provider, subscriber) = (start(), start());
        provider.create_db(DB);
        let targets: Vec<String> = (1..=tables.subscribers)
            .map(|number| match number {
                1 => DB.to_owned(),
                _ => format!("{DB}{number}"),
            })
            .collect();
        for target in &targets {
            subscriber.create_db(target);
        }
        let pair = Self {
            writer: Session::new(&provider, DB),
            readers: targets
                .iter()
                .map(|target| Session::new(&subscriber, target))
                .collect(),
            provider,
            subscriber,
            targets,
            scratch: Scratch::new(),
        };
        pair.fill(&tables);
        pair
    }

    fn fill(&self, tables: &Tables) {
        self.pgbench(&["-i", "-q", "-s", &tables.scale.to_string()]);
        self.provider.psql(
            DB,
            "alter table pgbench_history add column hid bigserial primary key; \
             create table bulk (id int primary key, a int, b text, c numeric, d timestamptz); \
             create table marker (id int primary key, n bigint); insert into marker values (1, 0)",
        );
        if !tables.more.is_empty() {
            let file = self.scratch.file("more.sql", &tables.more);
            self.provider.psql_file(DB, &file).ok();
        }
        let file = self
            .scratch
            .file("schema.sql", &self.provider.dump_schema(DB));
        for target in &self.targets {
            self.subscriber.psql_file(target, &file).ok();
        }
        self.provider.psql(DB, "vacuum analyze");
        self.settle();
    }

    /// Runs pgbench on the provider.
    pub(crate) fn pgbench(&self, args: &[&str]) -> String {
        let mut command: Command = self.provider.client("pgbench", DB);
        // The load commits as section 9 of the design says; daemons and apply
        // keep their own setting.
        command.env("PGOPTIONS", "-c synchronous_commit=off");
        run_in(command.args(args), Duration::from_secs(1800))
            .ok()
            .stdout
    }

    /// Checkpoints on both sides, so that none falls into the next measurement.
    pub(crate) fn settle(&self) {
        self.provider.psql(DB, "checkpoint");
        self.subscriber.psql(DB, "checkpoint");
    }

    /// Sets the marker on the provider and waits until every subscriber has it. Then everything committed before is
    /// applied, for every peer that applies transactions in their order. Gives the time from the commit on.
    pub(crate) fn wait_applied(&self) -> Duration {
        let n = self
            .writer
            .ask("update marker set n = n + 1 where id = 1 returning n::text");
        let started = Instant::now();
        for reader in &self.readers {
            wait_closely("the marker", || {
                reader.ask("select n::text from marker where id = 1") == n
            });
        }
        started.elapsed()
    }

    /// Whether every subscriber answers `true` to a query. The query runs in sessions that are open already, so that
    /// asking often costs little.
    pub(crate) fn every_subscriber(&self, sql: &str) -> bool {
        self.readers.iter().all(|reader| reader.ask(sql) == "true")
    }

    /// The tables that are replicated, as `public.name`.
    pub(crate) fn tables(&self) -> Vec<String> {
        // Peers keep tables in schemas of their own.
        tables_of(&self.provider, DB)
            .into_iter()
            .filter(|table| table.starts_with("public."))
            .collect()
    }

    /// Compares every table of the provider with every subscriber's.
    ///
    /// # Panics
    ///
    /// If a table differs: a time for wrong rows is no measurement.
    pub(crate) fn check(&self) -> Checked {
        let tables = self.tables();
        let mut checked = Checked::new();
        for target in &self.targets {
            checked = if tables.len() > MANY {
                vec![self.check_together(target, &tables)]
            } else {
                tables
                    .iter()
                    .map(|table| {
                        let digest = same((&self.provider, DB), (&self.subscriber, target), table);
                        (table.clone(), digest)
                    })
                    .collect()
            };
        }
        checked
    }

    #[allow(clippy::expect_used, reason = "a measurement without a check is none")]
    fn check_together(&self, target: &str, tables: &[String]) -> (String, Digest) {
        let each: Vec<String> = tables
            .iter()
            .map(|table| {
                format!(
                    "select count(*) n, \
                     sum(('x' || substr(md5('{table}' || t::text), 1, 15))::bit(60)::bigint) h \
                     from {table} t"
                )
            })
            .collect();
        let file = self.scratch.file(
            "check.sql",
            &format!(
                "select sum(n), coalesce(sum(h), 0) from ({}) all_tables",
                each.join("\nunion all ")
            ),
        );
        let here = self.provider.psql_file(DB, &file).ok().text().to_owned();
        let there = self
            .subscriber
            .psql_file(target, &file)
            .ok()
            .text()
            .to_owned();
        assert_eq!(here, there, "rows and checksum of {} tables", tables.len());
        let (rows, sum) = here.split_once('|').expect("a count and a sum");
        let digest = Digest {
            rows: rows.parse().expect("a number of rows"),
            sum: sum.to_owned(),
        };
        (format!("{} tables", tables.len()), digest)
    }
}

/// The longest wait for a peer, as the command line says it.
static PATIENCE: OnceLock<Duration> = OnceLock::new();

/// Sets the longest wait for a peer, once, before anything is measured.
pub(crate) fn be_patient(patience: Duration) {
    PATIENCE.get_or_init(|| patience);
}

/// Looks every millisecond, for a time that is measured.
///
/// # Panics
///
/// When the patience is at its end, naming `what`.
pub(crate) fn wait_closely(what: &str, mut ready: impl FnMut() -> bool) {
    let patience = *PATIENCE.get_or_init(|| Duration::from_secs(1800));
    let started = Instant::now();
    while !ready() {
        assert!(
            started.elapsed() < patience,
            "waited {} s in vain for {what}",
            patience.as_secs()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
