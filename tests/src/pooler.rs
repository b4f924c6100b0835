//! PgBouncer in front of a cluster.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::port::Port;
use crate::process::{Output, run};
use crate::scratch::Scratch;
use crate::server::{as_cluster_owner, give_to_cluster_owner};
use crate::wait::wait_until;

/// The file that the config includes.
const INCLUDED: &str = "provider.ini";

/// A running PgBouncer (Debian package `pgbouncer`); it ends with this value.
#[derive(Debug)]
pub struct Pooler {
    child: Child,
    port: Port,
    scratch: Scratch,
}

impl Pooler {
    /// Starts a PgBouncer that pools by `pool_mode` (session, transaction) and lends at most `size` sessions of a
    /// database.
    ///
    /// # Panics
    ///
    /// If PgBouncer cannot be started.
    #[must_use]
    pub fn start(cluster: &Cluster, dbname: &str, pool_mode: &str, size: usize) -> Self {
        let scratch = Scratch::new();
        let port = Port::take();
        let included = scratch.file(INCLUDED, "");
        let config = scratch.file(
            "pgbouncer.ini",
            &format!(
                "[databases]\n* = host={} port={} user=postgres\n%include {}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {}\nunix_socket_dir =\nauth_type = any\nadmin_users = postgres\npool_mode = {pool_mode}\n\
                 default_pool_size = {size}\nmax_client_conn = 200\nlog_connections = 0\nlog_disconnections = 0\n",
                cluster.socket_dir().display(),
                cluster.port(),
                included.display(),
                port.number(),
            ),
        );
        give_to_cluster_owner(&config);
        let log = File::create(scratch.path().join("pgbouncer.log")).expect("make a log");
        let child = as_cluster_owner("pgbouncer")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pgbouncer is installed: apt-get install pgbouncer");
        let pooler = Self {
            child,
            port,
            scratch,
        };
        wait_until("PgBouncer to lend", Duration::from_secs(120), || {
            pooler.psql(cluster, dbname, "select 1").code == 0
        });
        pooler
    }

    /// A file with further databases, which the config includes; empty until somebody writes it.
    #[must_use]
    pub fn included(&self) -> PathBuf {
        self.scratch.path().join(INCLUDED)
    }

    /// Runs SQL with psql over the pooler.
    pub fn psql(&self, cluster: &Cluster, dbname: &str, sql: &str) -> Output {
        let mut psql = cluster.client("psql", dbname);
        // PgBouncer refuses clients that ask for settings at their start.
        psql.env_remove("PGOPTIONS");
        run(psql.args(["-XAtq", "-d", &self.conninfo(dbname), "-c", sql]))
    }

    /// The connection string of the pooler.
    #[must_use]
    pub fn conninfo(&self, dbname: &str) -> String {
        format!(
            "host=127.0.0.1 port={} dbname={dbname} user=postgres",
            self.port.number()
        )
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
