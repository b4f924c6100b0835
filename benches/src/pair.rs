//! Two PostgreSQL 15 servers with the same settings for every peer, the pgbench
//! tables on both, and a marker that tells when everything is applied.

use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Cluster, Digest, Scratch, Server, Session, run_in, same, tables_of};

/// The database on both servers.
pub(crate) const DB: &str = "bench";

/// What differs from a fresh Debian installation, on both servers, whoever is
/// measured. wal_level is logical for all, because one of them needs it.
pub(crate) const SETTINGS: [(&str, &str); 10] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("wal_level", "logical"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "10"),
    ("shared_buffers", "512MB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("maintenance_work_mem", "256MB"),
];

/// A provider and a subscriber with the same empty or filled tables.
pub(crate) struct Pair {
    pub(crate) provider: Cluster,
    pub(crate) subscriber: Cluster,
    /// For the peer's files.
    pub(crate) scratch: Scratch,
    writer: Session,
    reader: Session,
}

/// `(table, digest)` of every table, equal on both sides.
pub(crate) type Checked = Vec<(String, Digest)>;

impl Pair {
    /// Two servers; pgbench tables of this scale on the provider, every table
    /// with a key; the same tables, empty, on the subscriber.
    pub(crate) fn new(scale: u32) -> Self {
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
        subscriber.create_db(DB);
        let pair = Self {
            writer: Session::new(&provider, DB),
            reader: Session::new(&subscriber, DB),
            provider,
            subscriber,
            scratch: Scratch::new(),
        };
        let scale = scale.to_string();
        pair.pgbench(&["-i", "-q", "-s", &scale]);
        pair.provider.psql(
            DB,
            "alter table pgbench_history add column hid bigserial primary key; \
             create table bulk (id int primary key, a int, b text, c numeric, d timestamptz); \
             create table marker (id int primary key, n bigint); insert into marker values (1, 0)",
        );
        let dump = pair.provider.dump_schema(DB);
        let file = pair.scratch.file("schema.sql", &dump);
        pair.subscriber.psql_file(DB, &file).ok();
        pair.provider.psql(DB, "vacuum analyze");
        pair.settle();
        pair
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

    /// Sets the marker on the provider and waits until it is on the subscriber:
    /// then everything committed before is applied, for any peer that applies
    /// transactions in their order. Gives the time from the commit on.
    pub(crate) fn wait_applied(&self) -> Duration {
        let n = self
            .writer
            .ask("update marker set n = n + 1 where id = 1 returning n::text");
        let started = Instant::now();
        wait_closely("the marker", || {
            self.reader.ask("select n::text from marker where id = 1") == n
        });
        started.elapsed()
    }

    /// Asks the subscriber in a session that is there already, so that asking
    /// often costs little. One text column.
    pub(crate) fn ask_subscriber(&self, sql: &str) -> String {
        self.reader.ask(sql)
    }

    /// Compares every table of both sides.
    ///
    /// # Panics
    ///
    /// If one differs: a time for wrong rows is no measurement.
    pub(crate) fn check(&self) -> Checked {
        tables_of(&self.provider, DB)
            .into_iter()
            .map(|table| {
                let digest = same((&self.provider, DB), (&self.subscriber, DB), &table);
                (table, digest)
            })
            .collect()
    }
}

/// Looks every two milliseconds, for a time that is measured.
///
/// # Panics
///
/// After half an hour, naming `what`.
pub(crate) fn wait_closely(what: &str, mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(
            started.elapsed() < Duration::from_secs(1800),
            "waited half an hour in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
