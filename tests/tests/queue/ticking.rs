//! A ticker's daemon for tests of this directory.

use tests::{Cluster, Daemons, Node, Scratch};

/// A ticker of one database, with further lines in its config; not started. Killed when this is dropped.
pub(crate) fn ticker(scratch: &Scratch, cluster: &Cluster, db: &str, lines: &str) -> Daemons {
    let config = scratch.file(
        "etc/t1.toml",
        &format!(
            "[ticker]\njob_name = \"t1\"\ndb = \"{}\"\nretry_delay = 0.2\nmaint_delay = 0.2\n\
             logfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n{lines}",
            cluster.conninfo(db),
            scratch.dir("log").display(),
            scratch.dir("run").display()
        ),
    );
    Daemons(vec![Node::new("ticker", scratch, &config, "t1")])
}
