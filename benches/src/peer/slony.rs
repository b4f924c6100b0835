//! Slony-I 2.2 as Debian packages it, run as programs.
//!
//! Tuned by its documentation (the sample slon.conf and the manual's chapter on
//! event tuning): `sync_interval` 50 ms instead of 2 s, so that it follows
//! closely; `sync_group_maxsize` 100, its greatest value, so that a backlog goes
//! in large groups; `log_level` 0, as the manual recommends; a set that no
//! other node takes from is subscribed with `forward = no`.

use std::fmt::Write;

use tests::run;

use crate::pair::{DB, Pair};
use crate::peer::Peer;
use crate::peer::daemon::Daemon;

/// Files that must be there, and the packages that have them.
pub(crate) const NEEDS: [(&str, &str); 3] = [
    ("/usr/bin/slon", "slony1-2-bin"),
    ("/usr/bin/slonik", "slony1-2-bin"),
    (
        "/usr/lib/postgresql/15/lib/slony1_funcs.2.2.11.so",
        "postgresql-15-slony1-2",
    ),
];

/// A slon for the provider and one for each subscriber: node 1 and the rest.
#[derive(Default)]
pub(crate) struct Slony {
    here: Option<Daemon>,
    there: Vec<Daemon>,
}

/// `(node, connection string)` of all nodes.
fn nodes(pair: &Pair) -> Vec<(usize, String)> {
    let mut nodes = vec![(1, pair.provider.conninfo(DB))];
    for (index, target) in pair.targets.iter().enumerate() {
        nodes.push((index + 2, pair.subscriber.conninfo(target)));
    }
    nodes
}

fn slonik(pair: &Pair, name: &str, commands: &str) {
    let mut text = "cluster name = bench;\n".to_owned();
    for (node, db) in nodes(pair) {
        let _ = writeln!(text, "node {node} admin conninfo = '{db}';");
    }
    text.push_str(commands);
    let file = pair.scratch.file(name, &text);
    run(std::process::Command::new("slonik").arg(file)).ok();
}

fn slon(pair: &Pair, node: usize, db: &str) -> Daemon {
    let text = format!(
        "cluster_name='bench'\nconn_info='{db}'\npid_file='{}/slon{node}.pid'\nlog_level=0\n\
         sync_interval=50\nsync_group_maxsize=100\n",
        pair.scratch.dir("run").display()
    );
    let file = pair.scratch.file(&format!("etc/slon{node}.conf"), &text);
    Daemon::start(
        &pair.scratch,
        &format!("slon{node}"),
        "slon",
        &["-f", &file.display().to_string()],
    )
}

fn there(pair: &Pair) -> Vec<Daemon> {
    nodes(pair)
        .iter()
        .skip(1)
        .map(|(node, db)| slon(pair, *node, db))
        .collect()
}

impl Peer for Slony {
    fn set_up(&mut self, pair: &Pair) {
        let mut commands = "init cluster (id = 1, comment = 'provider');\n".to_owned();
        let source = pair.provider.conninfo(DB);
        for (node, db) in nodes(pair).iter().skip(1) {
            let _ = writeln!(
                commands,
                "store node (id = {node}, comment = 'subscriber', event node = 1);\n\
                 store path (server = 1, client = {node}, conninfo = '{source}');\n\
                 store path (server = {node}, client = 1, conninfo = '{db}');"
            );
        }
        slonik(pair, "etc/nodes.slonik", &commands);
        self.here = Some(slon(pair, 1, &source));
        self.there = there(pair);
    }

    fn add_all(&mut self, pair: &Pair) {
        let mut commands = "create set (id = 1, origin = 1, comment = 'all');\n".to_owned();
        for table in pair.tables() {
            let _ = writeln!(
                commands,
                "set add table (set id = 1, origin = 1, fully qualified name = '{table}');"
            );
        }
        for (node, _) in nodes(pair).iter().skip(1) {
            let _ = writeln!(
                commands,
                "subscribe set (id = 1, provider = 1, receiver = {node}, forward = no);"
            );
        }
        slonik(pair, "etc/set.slonik", &commands);
    }

    fn in_sync(&mut self, pair: &Pair) -> bool {
        pair.every_subscriber(
            "select coalesce(bool_and(sub_active), false)::text from _bench.sl_subscribe",
        )
    }

    fn stop_apply(&mut self, _pair: &Pair) {
        for daemon in self.there.drain(..) {
            daemon.stop();
        }
    }

    fn start_apply(&mut self, pair: &Pair) {
        self.there = there(pair);
    }

    fn daemons(&self, _pair: &Pair) -> Vec<i32> {
        // Each slon is a watchdog and a worker.
        self.here
            .iter()
            .chain(&self.there)
            .filter_map(Daemon::pid)
            .flat_map(|pid| [vec![pid], tests::children(pid)].concat())
            .collect()
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        tests::children(self.there.first()?.pid()?)
            .into_iter()
            .filter_map(tests::peak_rss_kb)
            .max()
    }

    fn tear_down(&mut self, _pair: &Pair) {
        self.there.clear();
        self.here = None;
    }
}
