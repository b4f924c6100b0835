//! What the interop tests stand on: our queue on a server, the real pgqd beside it, and Python consumers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Cluster, Programs, Scratch, run, signal, wait_until};

use crate::repository;

/// Time for anything that daemons with their own loops do.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Debian's Python: the one that has its packages.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// A program of others: ended when it is dropped.
pub(crate) struct Guest {
    child: Child,
    log: PathBuf,
}

impl Guest {
    /// Starts it in the foreground, its output in a log.
    fn start(command: &mut Command, log: &Path) -> Guest {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Guest {
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGKILL, as the kernel's out-of-memory killer would.
    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGINT: skytools' way to stop after the loop in hand.
    pub(crate) fn interrupt(mut self) {
        signal(i32::try_from(self.child.id()).unwrap(), Signal::SIGINT);
        wait_until("a guest to end", LIMIT, || {
            self.child.try_wait().unwrap().is_some()
        });
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- end of {}\n{}", self.log.display(), end.join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with our queue `q` in database `source`.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) scratch: Scratch,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        for (file, package) in [
            ("/usr/bin/pgqd", "pgqd"),
            ("/usr/lib/python3/dist-packages/pgq", "python3-pgq"),
            (
                "/usr/lib/python3/dist-packages/psycopg2",
                "python3-psycopg2",
            ),
        ] {
            assert!(
                Path::new(file).exists(),
                "{file} is missing: install the package {package} (etc/test.sh does)"
            );
        }
        let (cluster, scratch) = (Cluster::start(), Scratch::new());
        cluster.create_db("source");
        scratch.dir("run");
        scratch.dir("log");
        let config = scratch.file(
            "ticker.toml",
            &format!(
                "[ticker]\njob_name = \"t1\"\ndb = \"{}\"\npidfile = \"{}/run/t1.pid\"\n",
                cluster.conninfo("source"),
                scratch.path().display()
            ),
        );
        run(Command::new(Programs::get().path("ticker"))
            .arg("-c")
            .arg(config)
            .arg("install"))
        .ok();
        let stage = Stage { cluster, scratch };
        stage.sql("select pgq.create_queue('q')");
        stage.set("ticker_max_lag", "0.1 seconds");
        stage.set("ticker_max_count", "20");
        // Rotation waits for a tick that is younger than what it takes back.
        stage.set("ticker_idle_period", "0.5 seconds");
        stage
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.sql(&format!(
            "select pgq.set_queue_config('q', '{setting}', '{value}')"
        ));
    }

    pub(crate) fn sql(&self, text: &str) -> String {
        self.cluster.psql("source", text)
    }

    /// Puts what a consumer's target remembers (schema pgq_ext) into another database.
    pub(crate) fn extend(&self, dbname: &str) {
        let script = sql::install::print_sql(&[sql::install::Component::Ext]).unwrap();
        let file = self.scratch.file("pgq_ext.sql", &script);
        self.cluster.psql_file(dbname, &file).ok();
    }

    /// The real pgqd, as fast as it goes.
    pub(crate) fn pgqd(&self) -> Guest {
        let home = self.scratch.path();
        let log = home.join("log/pgqd.out");
        let config = self.scratch.file(
            "pgqd.ini",
            &format!(
                "[pgqd]\nbase_connstr = host=127.0.0.1 port={} user=postgres\ninitial_database = postgres\n\
                 database_list = source\nlogfile = {}/log/pgqd.log\npidfile = {}/run/pgqd.pid\nsyslog = 0\n\
                 check_period = 1\nretry_period = 1\nmaint_period = 1\nticker_period = 0.1\n",
                self.cluster.port(),
                home.display(),
                home.display()
            ),
        );
        Guest::start(Command::new("/usr/bin/pgqd").arg("-v").arg(config), &log)
    }

    /// The command of a Python consumer with further lines for its config.
    fn python(&self, kind: &str, name: &str, lines: &str, args: &[&str]) -> Command {
        let home = self.scratch.path();
        let config = self.scratch.file(
            &format!("{name}.ini"),
            &format!(
                "[consumer]\njob_name = {name}\nsource_db = {}\nqueue_name = q\n\
                 loop_delay = 0.05\nexception_sleep = 1\npidfile = {}/run/{name}.pid\nuse_skylog = 0\n{lines}\n",
                self.cluster.conninfo("source"),
                home.display()
            ),
        );
        let mut command = Command::new(PYTHON);
        command
            .arg(repository("tests/tests/pgq_outside/consume.py"))
            .arg(kind)
            .arg(self.output(name))
            .args(args)
            .arg(config)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn output(&self, name: &str) -> PathBuf {
        self.scratch.path().join(format!("{name}.taken"))
    }

    /// Registers the consumer with the client's own command, and starts it.
    pub(crate) fn consumer(&self, kind: &str, name: &str, lines: &str) -> Guest {
        run(&mut self.python(kind, name, lines, &["--register"])).ok();
        self.restart(kind, name, lines)
    }

    /// Starts a consumer that is registered.
    pub(crate) fn restart(&self, kind: &str, name: &str, lines: &str) -> Guest {
        let log = self.scratch.path().join(format!("log/{name}.out"));
        Guest::start(&mut self.python(kind, name, lines, &[]), &log)
    }

    /// The client's own command to leave.
    pub(crate) fn unregister(&self, kind: &str, name: &str, lines: &str) {
        run(&mut self.python(kind, name, lines, &["--unregister"])).ok();
    }

    /// What a consumer has taken, a line an event, in order.
    pub(crate) fn taken(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.output(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
