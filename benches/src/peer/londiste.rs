//! Londiste 3 as Debian packages it, with pgqd, run as programs.
//!
//! Tuned by what its sample configs (`londiste --ini`, `pgqd --ini`) and PgQ's
//! documented queue settings offer. Out of the box a quiet queue ticks once a
//! minute, and each step of an initial copy waits for a tick: that alone makes
//! minutes. So: `ticker_period` 0.1 s instead of 1, `ticker_max_lag` 100 ms
//! instead of 3 s, `ticker_idle_period` 1 s instead of 1 min, `loop_delay` 0.1 s
//! instead of 1, four copies in parallel instead of one.

use tests::run;

use crate::pair::{DB, Pair};
use crate::peer::Peer;
use crate::peer::daemon::Daemon;

/// Files that must be there, and the packages that have them.
pub(crate) const NEEDS: [(&str, &str); 5] = [
    ("/usr/bin/londiste", "python3-londiste"),
    ("/usr/bin/pgqd", "pgqd"),
    (
        "/usr/share/postgresql/15/extension/pgq.control",
        "postgresql-15-pgq3",
    ),
    (
        "/usr/share/postgresql/15/extension/pgq_node.control",
        "postgresql-15-pgq-node",
    ),
    (
        "/usr/share/postgresql/15/extension/londiste.control",
        "postgresql-15-londiste-sql",
    ),
];

const QUEUE: &str = "bench";

/// pgqd, the root's worker and a leaf's worker for each subscriber.
#[derive(Default)]
pub(crate) struct Londiste {
    /// Daemons of the provider.
    here: Vec<Daemon>,
    /// Daemons of the subscribers.
    there: Vec<Daemon>,
}

/// The path of a node's config.
fn config(pair: &Pair, node: &str) -> String {
    pair.scratch
        .path()
        .join(format!("etc/{node}.ini"))
        .display()
        .to_string()
}

fn write_config(pair: &Pair, node: &str, db: &str) {
    let text = format!(
        "[londiste]\njob_name = {node}\ndb = {db}\nqueue_name = {QUEUE}\n\
         logfile = {}/%(job_name)s.log\npidfile = {}/%(job_name)s.pid\n\
         loop_delay = 0.1\nparallel_copies = 4\n",
        pair.scratch.dir("log").display(),
        pair.scratch.dir("run").display()
    );
    pair.scratch.file(&format!("etc/{node}.ini"), &text);
}

fn londiste(pair: &Pair, node: &str, args: &[&str]) {
    run(std::process::Command::new("londiste")
        .arg("-q")
        .arg(config(pair, node))
        .args(args))
    .ok();
}

fn worker(pair: &Pair, node: &str) -> Daemon {
    Daemon::start(
        &pair.scratch,
        node,
        "londiste",
        &["-q", &config(pair, node), "worker"],
    )
}

impl Peer for Londiste {
    fn set_up(&mut self, pair: &Pair) {
        let source = pair.provider.conninfo(DB);
        write_config(pair, "root", &source);
        londiste(pair, "root", &["create-root", "root", &source]);
        for (name, value) in [
            ("ticker_max_lag", "100 milliseconds"),
            ("ticker_idle_period", "1 second"),
        ] {
            pair.provider.psql(
                DB,
                &format!("select pgq.set_queue_config('{QUEUE}', '{name}', '{value}')"),
            );
        }
        let pgqd = pair.scratch.file(
            "etc/pgqd.ini",
            &format!(
                "[pgqd]\nbase_connstr = host=127.0.0.1 port={} user=postgres\n\
                 database_list = {DB}\nlogfile = {}/pgqd.log\npidfile = {}/pgqd.pid\n\
                 ticker_period = 0.1\n",
                pair.provider.port(),
                pair.scratch.dir("log").display(),
                pair.scratch.dir("run").display()
            ),
        );
        self.here.push(Daemon::start(
            &pair.scratch,
            "pgqd",
            "pgqd",
            &[&pgqd.display().to_string()],
        ));
        self.here.push(worker(pair, "root"));
        for target in &pair.targets {
            let there = pair.subscriber.conninfo(target);
            write_config(pair, target, &there);
            londiste(
                pair,
                target,
                &[
                    "create-leaf",
                    target,
                    &there,
                    &format!("--provider={source}"),
                ],
            );
            self.there.push(worker(pair, target));
        }
    }

    fn add_all(&mut self, pair: &Pair) {
        let tables = pair.tables();
        let mut args = vec!["add-table"];
        args.extend(tables.iter().map(String::as_str));
        londiste(pair, "root", &args);
        for target in &pair.targets {
            londiste(pair, target, &args);
        }
    }

    fn in_sync(&mut self, pair: &Pair) -> bool {
        pair.every_subscriber(
            "select (count(*) filter (where merge_state is distinct from 'ok') = 0 \
             and count(*) > 0)::text from londiste.table_info where local",
        )
    }

    fn stop_apply(&mut self, _pair: &Pair) {
        for daemon in self.there.drain(..) {
            daemon.stop();
        }
    }

    fn start_apply(&mut self, pair: &Pair) {
        self.there
            .extend(pair.targets.iter().map(|target| worker(pair, target)));
    }

    fn daemons(&self, _pair: &Pair) -> Vec<i32> {
        self.here
            .iter()
            .chain(&self.there)
            .filter_map(Daemon::pid)
            .collect()
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        tests::peak_rss_kb(self.there.first()?.pid()?)
    }

    fn tear_down(&mut self, _pair: &Pair) {
        self.there.clear();
        self.here.clear();
    }
}
