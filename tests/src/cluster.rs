//! A throw-away PostgreSQL cluster: made from a cached template in well under a second, on a port and a socket of its
//! own, removed when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio_postgres::{Client, Config, NoTls};

use crate::port::Port;
use crate::process::{Output, children, kill9, pid_alive, run, signal};
use crate::scratch::Scratch;
use crate::server::{Server, cache_dir, cache_lock, client, give_to_cluster_owner, is_root};
use crate::session::print;
use crate::wait::wait_until;

/// How a server is stopped, as in `pg_ctl stop -m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Waits for the clients to leave.
    Smart,
    /// Ends the sessions, then shuts down cleanly.
    Fast,
    /// No clean shutdown: the next start recovers from the log.
    Immediate,
}

/// The wished properties of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    server: Server,
    settings: Vec<(String, String)>,
    host_auth: String,
}

impl ClusterBuilder {
    /// Adds a line of postgresql.conf; the value is quoted here.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Turns fsync and synchronous_commit on, as in a careful installation. For tests of what survives a crash.
    #[must_use]
    pub fn durable(self) -> Self {
        self.set("fsync", "on")
            .set("synchronous_commit", "on")
            .set("full_page_writes", "on")
    }

    /// How TCP connections are authenticated: a method of pg_hba.conf (`trust` by default). The socket always trusts.
    #[must_use]
    pub fn host_auth(mut self, method: &str) -> Self {
        method.clone_into(&mut self.host_auth);
        self
    }

    /// Makes the cluster in a directory of its own and starts it.
    #[must_use]
    pub fn start(self) -> Cluster {
        Cluster::make(self, Scratch::new(), true)
    }
}

/// A running (or stopped) PostgreSQL server with its own data directory.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    home: PathBuf,
    port: Port,
    _scratch: Scratch,
}

impl Cluster {
    /// Debian's PostgreSQL 15 with the settings of a test: fast, not durable.
    #[must_use]
    pub fn start() -> Self {
        Self::builder(&Server::debian15()).start()
    }

    /// A cluster of this server, with properties to be set.
    #[must_use]
    pub fn builder(server: &Server) -> ClusterBuilder {
        ClusterBuilder {
            server: server.clone(),
            settings: [
                ("fsync", "off"),
                ("full_page_writes", "off"),
                ("synchronous_commit", "off"),
                ("wal_level", "replica"),
                ("max_connections", "100"),
                ("shared_buffers", "64MB"),
                ("max_wal_size", "1GB"),
                ("log_min_messages", "warning"),
                ("log_line_prefix", "%m [%p] %a "),
                ("max_prepared_transactions", "10"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            host_auth: "trust".to_owned(),
        }
    }

    fn make(builder: ClusterBuilder, scratch: Scratch, start: bool) -> Self {
        let template = template(&builder.server);
        let home = scratch.dir("pg");
        give_to_cluster_owner(&home);
        let port = Port::take();
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(&template)
            .arg(home.join("data")))
        .ok();
        let cluster = Self {
            server: builder.server,
            home,
            port,
            _scratch: scratch,
        };
        cluster.write_settings(&builder.settings, &builder.host_auth);
        if start {
            cluster.start_again();
        }
        cluster
    }

    fn write_settings(&self, settings: &[(String, String)], host_auth: &str) {
        let mut text = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n",
            self.port(),
            self.home.display()
        );
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        self.append("postgresql.conf", &text);
        std::fs::write(
            self.home.join("data/pg_hba.conf"),
            format!(
                "local all all trust\nlocal replication all trust\n\
                 host all all 127.0.0.1/32 {host_auth}\nhost replication all 127.0.0.1/32 {host_auth}\n"
            ),
        )
        .expect("write pg_hba.conf");
    }

    /// Adds text to a file of the data directory. Settings take effect with
    /// [`Cluster::reload`] or [`Cluster::restart`].
    pub fn append(&self, file: &str, text: &str) {
        use std::io::Write;
        std::fs::OpenOptions::new()
            .append(true)
            .open(self.home.join("data").join(file))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("append to a file of the data directory");
    }

    /// The PostgreSQL version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.server.major()
    }

    /// The TCP port on 127.0.0.1; also the number of the socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The directory of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// A connection string over TCP, as user postgres.
    #[must_use]
    pub fn conninfo(&self, dbname: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres dbname={dbname}",
            self.port()
        )
    }

    /// A connection string over the Unix socket, as user postgres.
    #[must_use]
    pub fn socket_conninfo(&self, dbname: &str) -> String {
        format!(
            "host={} port={} user=postgres dbname={dbname}",
            self.home.display(),
            self.port()
        )
    }

    /// Opens a new session, as user postgres over TCP.
    ///
    /// # Panics
    ///
    /// If the session cannot be opened.
    pub async fn connect(&self, dbname: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.conninfo(dbname), NoTls)
            .await
            .unwrap_or_else(|error| panic!("connect to {dbname}: {error:?}"));
        tokio::spawn(connection);
        client
    }

    /// Runs SQL in a session of its own and gives what psql would print: no header, columns separated by `|`.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn psql(&self, dbname: &str, sql: &str) -> String {
        let mut config = Config::new();
        config
            .host_path(&self.home)
            .port(self.port())
            .user("postgres")
            .dbname(dbname)
            .application_name("psql")
            .options(self.no_time_limits());
        print(config, sql)
    }

    /// As [`Cluster::psql`], by the program, for SQL that may fail.
    pub fn try_psql(&self, dbname: &str, sql: &str) -> Output {
        run(self
            .client("psql", dbname)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// Runs a file of SQL with psql.
    #[track_caller]
    pub fn psql_file(&self, dbname: &str, file: &Path) -> Output {
        run(self
            .client("psql", dbname)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(file))
    }

    /// A client program (`psql`, `pg_dump`, `pgbench`) with the options that
    /// lead it to this server; the database is given by PGDATABASE.
    #[must_use]
    pub fn client(&self, program: &str, dbname: &str) -> Command {
        let mut command = client(program);
        command
            .env("PGHOST", &self.home)
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", dbname)
            .env("PGOPTIONS", self.no_time_limits());
        command
    }

    /// Options of a test's own sessions. Time limits that a test gives the role are for the daemons; the test's own
    /// statements may take longer on a busy machine.
    fn no_time_limits(&self) -> String {
        let newer = if self.version() >= 14 {
            " -c idle_session_timeout=0"
        } else {
            ""
        };
        format!(
            "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0{newer}"
        )
    }

    /// Makes a database.
    #[track_caller]
    pub fn create_db(&self, name: &str) {
        self.psql(
            "postgres",
            &format!("create database \"{}\"", name.replace('"', "\"\"")),
        );
    }

    /// `pg_dump -s` of a database.
    ///
    /// # Panics
    ///
    /// If pg_dump fails; above version 15 it always does (Debian's pg_dump is 15).
    #[track_caller]
    pub fn dump_schema(&self, dbname: &str) -> String {
        run(self.client("pg_dump", dbname).arg("-s")).ok().stdout
    }

    /// Starts a stopped server; returns when it accepts connections.
    pub fn start_again(&self) {
        let output = run(self
            .server
            .command("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.log_path())
            .args(["-w", "-t", "240", "-s", "start"]));
        assert!(
            output.code == 0,
            "the server does not start: {}\n{}",
            output.stderr,
            self.log()
        );
    }

    /// Stops the server and waits for its end.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Smart => "smart",
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run(self
            .server
            .command("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .args(["-w", "-t", "240", "-s", "-m", mode, "stop"]))
        .ok();
    }

    /// A fast stop and a start.
    pub fn restart(&self) {
        self.stop(Stop::Fast);
        self.start_again();
    }

    /// Has the server read its settings again.
    pub fn reload(&self) {
        if let Some(pid) = self.pid() {
            signal(pid, Signal::SIGHUP);
        }
    }

    /// SIGKILL to the server and all its processes, as the kernel's
    /// out-of-memory killer or a power cut would.
    pub fn kill9(&self) {
        let Some(pid) = self.pid() else { return };
        let mut pids = vec![pid];
        // The server is stopped first, so that it does not restart processes that are killed one by one.
        signal(pid, Signal::SIGSTOP);
        pids.extend(children(pid));
        kill9(&pids);
        // A server does not start while a process exists, zombie or not, whose pid is in the server's lock files.
        let socket = format!(".s.PGSQL.{}.lock", self.port());
        for file in [
            self.data().join("postmaster.pid"),
            self.socket_dir().join(socket),
        ] {
            // One that was ending by itself has removed them.
            if let Err(error) = std::fs::remove_file(&file) {
                assert_eq!(
                    error.kind(),
                    std::io::ErrorKind::NotFound,
                    "{}",
                    file.display()
                );
            }
        }
    }

    /// The server's process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        pid_alive(pid).then_some(pid)
    }

    /// Waits until no session is there whose `application_name` is like this pattern of SQL. A session outlives the
    /// process that it belongs to: the server notices the end of one that was killed after the statement in hand, which
    /// may still be committed.
    #[track_caller]
    pub fn wait_left(&self, application: &str) {
        let there = format!(
            "select count(*) from pg_stat_activity where application_name like '{application}'"
        );
        wait_until(
            &format!("sessions {application} to end"),
            Duration::from_secs(120),
            || self.psql("postgres", &there) == "0",
        );
    }

    /// Has every commit that is not asynchronous wait for a standby that never comes. Returns when it is so: the server
    /// takes a while to read its settings. Ends with `alter system reset synchronous_standby_names` and a reload.
    #[track_caller]
    pub fn hold_commits(&self) {
        self.psql(
            "postgres",
            "alter system set synchronous_standby_names = 'nobody'",
        );
        self.reload();
        let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                      where application_name = 'held commit' and wait_event = 'SyncRep'";
        let commit = "set application_name = 'held commit'; set synchronous_commit = on; \
                      create table held_commit (); drop table held_commit";
        let limit = Duration::from_secs(120);
        wait_until("a commit to wait for nobody", limit, || {
            let mut session = self
                .client("psql", "postgres")
                .args(["-XAtqc", commit])
                .stderr(Stdio::null())
                .spawn()
                .expect("run psql");
            let mut is_held = false;
            wait_until("a commit to wait or to end", limit, || {
                is_held |= self.psql("postgres", ended) != "0";
                session.try_wait().expect("wait for psql").is_some()
            });
            is_held
        });
    }

    fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        signal(pid, Signal::SIGQUIT);
        let started = std::time::Instant::now();
        while pid_alive(pid) {
            if started.elapsed() > Duration::from_secs(20) {
                self.kill9();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A data directory fresh from initdb, made once for each server and kept in
/// the cache: initdb takes seconds, a copy takes a tenth of one.
fn template(server: &Server) -> PathBuf {
    let template = cache_dir().join("templates").join(server.label());
    if template.exists() {
        return template;
    }
    let _lock = cache_lock("templates");
    if template.exists() {
        return template;
    }
    let parent = cache_dir().join("templates");
    std::fs::create_dir_all(&parent).expect("make the directory of templates");
    let fresh = parent.join(format!("{}.new", server.label()));
    let _ = std::fs::remove_dir_all(&fresh);
    std::fs::create_dir(&fresh).expect("make a directory for initdb");
    give_to_cluster_owner(&fresh);
    let data = fresh.join("data");
    run(server.command("initdb").arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]))
    .ok();
    std::fs::rename(&data, &template).expect("keep what initdb made");
    if is_root() {
        give_to_cluster_owner(&template);
    }
    let _ = std::fs::remove_dir_all(&fresh);
    template
}
