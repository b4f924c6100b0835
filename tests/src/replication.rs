//! A whole replication in a fresh directory: provider, subscribers, config files, daemons, and the operator's commands.
//! Scenario tests start from it.

use std::time::Duration;

use crate::cluster::{Cluster, ClusterBuilder};
use crate::compare::{Digest, same, tables_of};
use crate::load::{Load, Writes};
use crate::logs::assert_clean;
use crate::node::{Daemons, Node};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wait::{pause, wait_until};

/// The database on every node.
const DB: &str = "db1";

/// Writes the config files of a ticker and of a replay with one or several
/// subscribers (then named s1, s2, ...) into a scratch directory. The further
/// lines go into the `[ticker]` and `[replay]` sections.
pub fn configure(
    scratch: &Scratch,
    dbname: &str,
    provider: &Cluster,
    subscribers: &[&Cluster],
    ticker_lines: &str,
    replay_lines: &str,
) -> (Node, Node) {
    let daemon = |job: &str| {
        format!(
            "job_name = \"{job}\"\nlogfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n",
            scratch.dir("log").display(),
            scratch.dir("run").display()
        )
    };
    let source = provider.conninfo(dbname);
    let ticker = scratch.file(
        "etc/ticker.toml",
        &format!(
            "[ticker]\n{}db = \"{source}\"\nqueues = [\"q1\"]\n{ticker_lines}",
            daemon("ticker1"),
        ),
    );
    let target = match subscribers {
        [one] => format!("subscriber_db = \"{}\"\n", one.conninfo(dbname)),
        _ => String::new(),
    };
    // Tests wait until parked tables are tried again, so the delay is short.
    let retries = if replay_lines.contains("retry_delay") {
        ""
    } else {
        "retry_delay = 1\n"
    };
    let mut text = format!(
        "[replay]\n{}provider_db = \"{source}\"\n{target}pgq_queue_name = \"q1\"\n{retries}{replay_lines}",
        daemon("replay1"),
    );
    if subscribers.len() > 1 {
        for (number, cluster) in subscribers.iter().enumerate() {
            text.push_str(&format!(
                "\n[[subscriber]]\nname = \"s{}\"\ndb = \"{}\"\n",
                number + 1,
                cluster.conninfo(dbname)
            ));
        }
    }
    let replay = scratch.file("etc/replay.toml", &text);
    (
        Node::new("ticker", scratch, &ticker, "ticker1"),
        Node::new("replay", scratch, &replay, "replay1"),
    )
}

/// The state of one table on one subscriber, as `replay tables` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// `schema.table`.
    pub table: String,
    /// `-`, `in-copy`, `catching-up`, `wanna-sync`, `ok` or `parked`.
    pub state: String,
    /// The subscriber's name, where there are several.
    pub subscriber: Option<String>,
}

/// The wished properties of a replication.
#[derive(Debug)]
pub struct ReplicationBuilder {
    provider: ClusterBuilder,
    subscribers: Vec<ClusterBuilder>,
    ticker_lines: String,
    replay_lines: String,
}

impl ReplicationBuilder {
    /// The provider's cluster (Debian's PostgreSQL 15 if not said).
    #[must_use]
    pub fn provider(mut self, cluster: ClusterBuilder) -> Self {
        self.provider = cluster;
        self
    }

    /// The subscribers' clusters (one of Debian's PostgreSQL 15 if not said).
    /// Several are named s1, s2, ... in the config.
    #[must_use]
    pub fn subscribers(mut self, clusters: Vec<ClusterBuilder>) -> Self {
        self.subscribers = clusters;
        self
    }

    /// A further line of the `[ticker]` section.
    #[must_use]
    pub fn ticker_line(mut self, line: &str) -> Self {
        self.ticker_lines.push_str(line);
        self.ticker_lines.push('\n');
        self
    }

    /// A further line of the `[replay]` section.
    #[must_use]
    pub fn replay_line(mut self, line: &str) -> Self {
        self.replay_lines.push_str(line);
        self.replay_lines.push('\n');
        self
    }

    /// Starts the clusters with an empty database each and writes the config
    /// files. Nothing of Trunkline is installed or started.
    #[must_use]
    pub fn make(self) -> Replication {
        let scratch = Scratch::new();
        let provider = self.provider.start();
        provider.create_db(DB);
        let subscribers: Vec<Cluster> = self
            .subscribers
            .into_iter()
            .map(|builder| {
                let cluster = builder.start();
                cluster.create_db(DB);
                cluster
            })
            .collect();
        let targets: Vec<&Cluster> = subscribers.iter().collect();
        let (ticker, replay) = configure(
            &scratch,
            DB,
            &provider,
            &targets,
            &self.ticker_lines,
            &self.replay_lines,
        );
        Replication {
            _daemons: Daemons(vec![replay.clone(), ticker.clone()]),
            ticker,
            replay,
            provider,
            subscribers,
            scratch,
        }
    }
}

impl ReplicationBuilder {
    /// Makes the replication, with the tables that `sql` makes on the provider, all in state `ok`.
    #[must_use]
    #[track_caller]
    pub fn running(self, sql: &str) -> Replication {
        let replication = self.make();
        replication.on_provider(sql);
        replication.copy_schema();
        replication.start();
        replication.add_all();
        replication
    }
}

/// A provider, its subscribers, one ticker and one replay.
#[derive(Debug)]
pub struct Replication {
    // The first field is dropped first: daemons end before their servers.
    _daemons: Daemons,
    /// The ticker of the provider.
    pub ticker: Node,
    /// The worker of the subscribers.
    pub replay: Node,
    /// The provider's cluster.
    pub provider: Cluster,
    /// The subscribers' clusters.
    pub subscribers: Vec<Cluster>,
    /// The directory of the config files, logs and pid files.
    pub scratch: Scratch,
}

impl Replication {
    /// A replication from PostgreSQL 15 to PostgreSQL 15, with properties to be set.
    #[must_use]
    pub fn builder() -> ReplicationBuilder {
        let server = Server::debian15();
        ReplicationBuilder {
            provider: Cluster::builder(&server),
            subscribers: vec![Cluster::builder(&server)],
            ticker_lines: String::new(),
            replay_lines: String::new(),
        }
    }

    /// A replication from PostgreSQL 15 to PostgreSQL 15, with the tables that `sql` makes on the provider, all in
    /// state `ok`.
    #[must_use]
    #[track_caller]
    pub fn running(sql: &str) -> Replication {
        Self::builder().running(sql)
    }

    /// The name of the database on every node.
    #[must_use]
    pub fn db(&self) -> &'static str {
        DB
    }

    /// Runs SQL on the provider.
    #[track_caller]
    pub fn on_provider(&self, sql: &str) -> String {
        self.provider.psql(DB, sql)
    }

    /// Runs SQL on the first subscriber.
    #[track_caller]
    pub fn on_subscriber(&self, sql: &str) -> String {
        self.subscribers[0].psql(DB, sql)
    }

    /// Runs SQL on the provider and on every subscriber.
    #[track_caller]
    pub fn everywhere(&self, sql: &str) {
        self.provider.psql(DB, sql);
        for subscriber in &self.subscribers {
            subscriber.psql(DB, sql);
        }
    }

    /// Copies the provider's schema to the subscribers with `pg_dump -s`.
    #[track_caller]
    pub fn copy_schema(&self) {
        let dump = self.provider.dump_schema(DB);
        let file = self.scratch.file("schema.sql", &dump);
        for subscriber in &self.subscribers {
            subscriber.psql_file(DB, &file).ok();
        }
    }

    /// Installs both ends and starts both daemons.
    #[track_caller]
    pub fn start(&self) {
        self.ticker.run(&["install"]).ok();
        self.ticker.run(&["start", "-d"]).ok();
        self.replay.run(&["install"]).ok();
        self.replay.run(&["start", "-d"]).ok();
    }

    /// `add --all`, then waits until every table is `ok`.
    #[track_caller]
    pub fn add_all(&self) {
        self.replay.run(&["add", "--all"]).ok();
        self.wait_ok();
    }

    /// The output of `replay tables`, parsed.
    #[track_caller]
    pub fn tables(&self) -> Vec<TableState> {
        parse_tables(&self.replay.run(&["tables"]).ok().stdout)
    }

    /// The state of one table, of the first subscriber where there are several; `unknown` if it is not replicated.
    #[track_caller]
    pub fn state(&self, table: &str) -> String {
        self.tables()
            .into_iter()
            .find(|row| row.table == table)
            .map_or_else(|| "unknown".into(), |row| row.state)
    }

    /// Waits until every table is `ok`.
    #[track_caller]
    pub fn wait_ok(&self) {
        wait_until("all tables to be ok", Duration::from_secs(180), || {
            let tables = self.tables();
            !tables.is_empty() && tables.iter().all(|table| table.state == "ok")
        });
    }

    /// Waits until a table of the first subscriber is parked with an error and advice that hold all of these words.
    /// Both are read at once, because a parked table is tried again every second and may then be in another state.
    /// Gives the table's output of `replay tables --json`.
    #[track_caller]
    pub fn wait_parked(&self, table: &str, words: &[&str]) -> serde_json::Value {
        let mut last = String::new();
        let started = std::time::Instant::now();
        loop {
            let begin = std::time::Instant::now();
            let said = self.replay.run(&["tables", "--json"]).stdout;
            let tables: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap_or_default();
            let found = tables.into_iter().find(|one| one["table"] == table);
            if let Some(found) = found {
                let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
                let told = format!("{} {}", text("error"), text("advice"));
                if found["state"] == "parked" && words.iter().all(|word| told.contains(word)) {
                    return found;
                }
                last = found.to_string();
            }
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "{table} is not parked with {words:?}: {last}"
            );
            pause(started, begin.elapsed());
        }
    }

    /// Waits until the log of replay holds a text, because a line comes after the event that it tells of.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        self.replay.wait_log(text);
    }

    /// Waits until what is committed on the provider now is applied everywhere.
    #[track_caller]
    pub fn sync(&self) {
        self.replay.wait_level();
    }

    /// Has the queue give away the events that it has now, and that nobody holds, by as many rotations as it takes: a
    /// transaction that happens to be open keeps one from emptying a table. `write` writes something in each round, and
    /// returns when a tick shows it.
    #[track_caller]
    pub fn give_away(&self, mut write: impl FnMut(u32)) {
        let last: i64 = self.number("select max(ev_txid) from pgq.event_1");
        let mut round = 0;
        wait_until("the events to be gone", Duration::from_secs(120), || {
            write(round);
            round += 1;
            self.on_provider("update pgq.queue set queue_switch_time = now() - interval '1 year'");
            self.on_provider("select pgq.maint_rotate_tables_step1('q1')");
            self.on_provider("select pgq.maint_rotate_tables_step2()");
            self.number("select queue_truncated_txid from pgq.queue where queue_name = 'q1'")
                >= last
        });
    }

    #[track_caller]
    fn number(&self, sql: &str) -> i64 {
        let text = self.on_provider(sql);
        text.parse()
            .unwrap_or_else(|error| panic!("{sql}: {text:?}: {error}"))
    }

    /// Checks, after a sync, that every table of the provider is the same on every subscriber.
    #[track_caller]
    pub fn assert_same(&self) -> Vec<(String, Digest)> {
        let tables = tables_of(&self.provider, DB);
        let mut digests = Vec::new();
        for subscriber in &self.subscribers {
            for table in &tables {
                digests.push((
                    table.clone(),
                    same((&self.provider, DB), (subscriber, DB), table),
                ));
            }
        }
        digests
    }

    /// The end of every scenario: everything is applied, both sides are the same, and the logs are clean but for lines
    /// that hold an allowed text.
    #[track_caller]
    pub fn assert_followed(&self, allowed: &[&str]) {
        self.sync();
        self.assert_same();
        self.assert_clean(allowed);
    }

    /// Checks that every row of the first subscriber was as its change said.
    #[track_caller]
    pub fn assert_no_conflicts(&self) {
        let conflicts = self.on_subscriber("select sum(conflicts) from trunkline.position");
        assert_eq!(conflicts, "0", "conflicts");
    }

    /// Starts writers on the provider, each with a pause after each transaction.
    #[must_use]
    pub fn load(&self, writers: u64, pause: Duration, writes: &Writes) -> Load {
        Load::start(&self.provider, DB, writers, pause, writes)
    }

    /// Checks that no log has a line of WARN or ERROR but those that hold an allowed text.
    #[track_caller]
    pub fn assert_clean(&self, allowed: &[&str]) {
        assert_clean(&self.ticker.logfile, allowed);
        assert_clean(&self.replay.logfile, allowed);
    }
}

/// Parses the plain output of `replay tables`.
#[track_caller]
pub(crate) fn parse_tables(text: &str) -> Vec<TableState> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    assert!(
        header == "Table State" || header == "Table State Subscriber",
        "the header line of `replay tables` is {header:?}"
    );
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                [table, state] => TableState {
                    table: (*table).to_owned(),
                    state: (*state).to_owned(),
                    subscriber: None,
                },
                [table, state, subscriber] => TableState {
                    table: (*table).to_owned(),
                    state: (*state).to_owned(),
                    subscriber: Some((*subscriber).to_owned()),
                },
                _ => panic!("a line of `replay tables` is {line:?}"),
            }
        })
        .collect()
}
