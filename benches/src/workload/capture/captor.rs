//! The makers of capture: each has a server of its own, with the measured tables and without any replication.

use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tests::{Cluster, Node, Scratch, Server, Session, run_in};

use crate::pair::{DB, SETTINGS};

/// A maker of capture, set up as a user would set it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// No capture.
    None,
    Trunkline,
    /// PgQ 3.5 with its trigger in C, logutriga.
    Pgq,
    /// Slony-I with its trigger in C; the tables are in a set of a cluster of one node.
    Slony,
    /// A publication, and a slot of pgoutput that is read.
    Builtin,
}

pub(super) const MAKERS: [Maker; 5] = [
    Maker::None,
    Maker::Trunkline,
    Maker::Pgq,
    Maker::Slony,
    Maker::Builtin,
];

impl Maker {
    pub(super) fn word(self) -> &'static str {
        match self {
            Maker::None => "uncaptured",
            Maker::Trunkline => "trunkline",
            Maker::Pgq => "PgQ 3.5 logutriga",
            Maker::Slony => "Slony-I 2.2",
            Maker::Builtin => "built-in",
        }
    }
}

/// A server whose tables are captured by one maker.
pub(super) struct Captor {
    pub(super) maker: Maker,
    pub(super) worker: Session,
    pub(super) cluster: Cluster,
    pid: String,
    daemons: Vec<Child>,
    ticker: Option<Node>,
    scratch: Scratch,
}

impl Captor {
    /// A server with these tables (all with a key), captured.
    pub(super) fn new(maker: Maker, make_tables: &dyn Fn(&Cluster)) -> anyhow::Result<Captor> {
        let builder = Cluster::builder(&Server::debian15());
        let settings = SETTINGS
            .iter()
            .chain(&[("synchronous_commit", "off"), ("autovacuum", "off")]);
        let cluster = settings
            .fold(builder, |builder, (name, value)| builder.set(name, value))
            .start();
        cluster.create_db(DB);
        make_tables(&cluster);
        let worker = Session::new(&cluster, DB);
        let mut captor = Captor {
            maker,
            pid: worker.ask("select pg_backend_pid()"),
            worker,
            cluster,
            daemons: Vec::new(),
            ticker: None,
            scratch: Scratch::new(),
        };
        match maker {
            Maker::None => {}
            Maker::Trunkline => captor.trunkline(),
            Maker::Pgq => captor.pgq()?,
            Maker::Slony => captor.slony(),
            Maker::Builtin => captor.builtin()?,
        }
        Ok(captor)
    }

    fn tables(&self) -> Vec<String> {
        self.worker
            .ask(
                "select string_agg(relname::text, ' ' order by relname) from pg_class \
                  where relkind = 'r' and relnamespace = 'public'::regnamespace",
            )
            .split(' ')
            .map(str::to_owned)
            .collect()
    }

    fn trunkline(&mut self) {
        let config = self.scratch.file(
            "ticker.toml",
            &format!(
                "[ticker]\njob_name = \"bench\"\ndb = \"{}\"\nqueues = [\"q\"]\n\
                 logfile = \"{}/bench.log\"\npidfile = \"{}/bench.pid\"\n",
                self.cluster.conninfo(DB),
                self.scratch.dir("log").display(),
                self.scratch.dir("run").display()
            ),
        );
        let ticker = Node::new("ticker", &self.scratch, &config, "bench");
        ticker.run(&["install"]).ok();
        self.worker.ask("select pgq.register_consumer('q', 'c')");
        for table in self.tables() {
            self.worker.ask(&format!(
                "select shape_id from trunkline.add_table('q', 'c', 'public', '{table}')"
            ));
        }
        ticker.run(&["start", "-d"]).ok();
        self.ticker = Some(ticker);
    }

    fn pgq(&mut self) -> anyhow::Result<()> {
        self.worker.ask("create extension pgq");
        self.worker.ask("select pgq.create_queue('q')");
        self.worker.ask("select pgq.register_consumer('q', 'c')");
        for table in self.tables() {
            self.worker.ask(&format!(
                "create trigger capture after insert or update or delete on {table} \
                 for each row execute function pgq.logutriga('q')"
            ));
        }
        let home = self.scratch.path().display();
        let config = self.scratch.file(
            "pgqd.ini",
            &format!(
                "[pgqd]\nbase_connstr = host=127.0.0.1 port={} user=postgres\ninitial_database = postgres\n\
                 database_list = {DB}\nlogfile = {home}/pgqd.log\npidfile = {home}/pgqd.pid\nsyslog = 0\n",
                self.cluster.port()
            ),
        );
        self.spawn(Command::new("/usr/bin/pgqd").arg(config))
    }

    /// Capture alone, without slon: Slony is measured at its best.
    fn slony(&self) {
        let conninfo = self.cluster.conninfo(DB);
        let mut script = format!(
            "cluster name = bench;\nnode 1 admin conninfo = '{conninfo}';\n\
             init cluster (id = 1, comment = 'bench');\ncreate set (id = 1, origin = 1, comment = 'all');\n"
        );
        for (index, table) in self.tables().iter().enumerate() {
            script.push_str(&format!(
                "set add table (set id = 1, origin = 1, id = {}, \
                 fully qualified name = 'public.{table}', comment = 't');\n",
                index + 1
            ));
        }
        let file = self.scratch.file("bench.slonik", &script);
        run_in(
            Command::new("/usr/bin/slonik").arg(file),
            std::time::Duration::from_secs(60),
        )
        .ok();
    }

    fn builtin(&mut self) -> anyhow::Result<()> {
        self.worker.ask("create publication bench for all tables");
        let conninfo = self.cluster.conninfo(DB);
        let receive = "/usr/lib/postgresql/15/bin/pg_recvlogical";
        let slot = ["--slot", "bench", "-d", &conninfo];
        run_in(
            Command::new(receive)
                .args(slot)
                .args(["--create-slot", "-P", "pgoutput"]),
            std::time::Duration::from_secs(60),
        )
        .ok();
        self.spawn(Command::new(receive).args(slot).args([
            "--start",
            "-f",
            "/dev/null",
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=bench",
        ]))
    }

    fn spawn(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("could not run {:?}", command.get_program()))?;
        self.daemons.push(child);
        Ok(())
    }

    /// Seconds of CPU that the worker's backend has used.
    pub(super) fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid))
            .context("the kernel tells no CPU time of a process")?;
        let word = stat.split(' ').next().context("schedstat is empty")?;
        Ok(word.parse::<f64>().context("schedstat holds no number")? / 1e9)
    }

    /// How many rows capture has written until now; a measured time without them is void. `None`: the maker writes no
    /// rows.
    pub(super) fn captured(&self) -> anyhow::Result<Option<u64>> {
        let count = match self.maker {
            Maker::None | Maker::Builtin => return Ok(None),
            // The rows of a block are separated by line feeds, and no value of ours has one.
            Maker::Trunkline => {
                "select coalesce(sum(1 + length(ev_data) - length(replace(ev_data, E'\\n', ''))), 0) \
                   from pgq.event_1 where ev_type = 'trunkline.1.rows'"
            }
            Maker::Pgq => "select count(*) from pgq.event_1",
            Maker::Slony => {
                "select (select count(*) from _bench.sl_log_1) + (select count(*) from _bench.sl_log_2)"
            }
        };
        Ok(Some(self.worker.ask(count).parse()?))
    }
}

impl Drop for Captor {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.kill9();
        }
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
