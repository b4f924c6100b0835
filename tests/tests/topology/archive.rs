//! An archive as a further node of a set: it follows the provider by itself, and what it has is one history.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tests::{Digest, Node, Scratch, Session, compare, digest, pid_alive, wait_until};

use crate::SOON;
use crate::failover::fail_over;
use crate::hosts::{Hosts, NAMES};
use crate::link::DB;
use crate::switchover::{TABLES, Writers, switch, wait_can};

const OF_TABLES: [&str; 4] = [
    "public.written",
    "public.counted",
    "public.numbered",
    "public.noted",
];

/// The tables of the writers, and one for rows of known moments.
fn tables() -> String {
    format!("{TABLES}; create table noted (writer int, n int, v text, primary key (writer, n))")
}

/// A job of its own with an archive. The first field is dropped first.
struct Keeper {
    replay: Node,
    scratch: Scratch,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.replay.kill9();
    }
}

impl Keeper {
    /// Keeps the set's tables, and follows any of these nodes.
    fn start(hosts: &Hosts) -> Keeper {
        let scratch = Scratch::new();
        let replay = Node::new(
            "replay",
            &scratch,
            &scratch.path().join("etc/replay.toml"),
            "keeper",
        );
        let keeper = Keeper { replay, scratch };
        keeper.follow(hosts, &(0..hosts.nodes.len()).collect::<Vec<_>>());
        keeper.replay.run(&["install"]).ok();
        keeper.replay.run(&["start", "-d"]).ok();
        keeper.replay.run(&["add", "--all", "--with-seqs"]).ok();
        keeper
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("archive")
    }

    /// Writes a config with these nodes.
    fn follow(&self, hosts: &Hosts, nodes: &[usize]) {
        let ports: Vec<String> = nodes
            .iter()
            .map(|node| hosts.nodes[*node].port().to_string())
            .collect();
        let text = format!(
            "[replay]\njob_name = \"keeper\"\nlogfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n\
             provider_db = \"host={} port={} user=walker dbname={DB}\"\npgq_queue_name = \"q1\"\nretry_delay = 1\n\
             [[subscriber]]\nname = \"backup\"\narchive = \"file://{}\"\nsegment_every = 0.5\n",
            self.scratch.dir("log").display(),
            self.scratch.dir("run").display(),
            vec!["127.0.0.1"; ports.len()].join(","),
            ports.join(","),
            self.root().display(),
        );
        self.scratch.file("etc/replay.toml", &text);
    }

    /// Waits until all that is committed is in the archive, and gives the epoch and tick of its end.
    #[track_caller]
    fn switch(&self) -> (String, String) {
        wait_until("the archive to have all", SOON, || {
            self.replay
                .run(&["archive", "switch", "--timeout", "20"])
                .code
                == 0
        });
        let list = self.list();
        let last = list["stretches"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        let text = |at: usize| last["to"][at].as_str().unwrap().to_owned();
        (text(0), text(1))
    }

    fn list(&self) -> Value {
        let said = self.replay.run(&["archive", "list", "--json"]).ok();
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// Restores into a new database of a node.
    #[track_caller]
    fn restore(&self, hosts: &Hosts, node: usize, db: &str, more: &[&str]) {
        hosts.nodes[node].create_db(db);
        let into = hosts.nodes[node].socket_conninfo(db);
        let args = [&["restore", "--no-owner", "--into", &into], more].concat();
        self.replay.run(&args).ok();
    }

    /// The restored tables are these of a node.
    #[track_caller]
    fn assert_is(&self, hosts: &Hosts, (node, db): (usize, &str), like: usize) {
        for table in OF_TABLES {
            compare((&hosts.nodes[like], DB), (&hosts.nodes[node], db), table)
                .unwrap_or_else(|difference| panic!("{db}: {difference}"));
        }
    }
}

fn digests(hosts: &Hosts, node: usize, db: &str) -> Vec<Digest> {
    OF_TABLES
        .map(|table| digest(&hosts.nodes[node], db, table))
        .to_vec()
}

#[track_caller]
fn write(hosts: &Hosts, node: usize, writer: i32, rows: i32) {
    hosts.on(
        node,
        &format!(
            "insert into noted select {writer}, n, 'new' from generate_series(1, {rows}) n; \
             update noted set v = v || '.' where n % 3 = 0; delete from noted where n % 7 = 0"
        ),
    );
}

#[track_caller]
fn wait_followed(hosts: &Hosts, keeper: &Keeper, node: usize) {
    let port = hosts.nodes[node].port().to_string();
    let registered =
        "select count(*) from pgq.get_consumer_info() where consumer_name = 'keeper/backup'";
    wait_until(
        &format!("the archive to follow {}, port {port}", NAMES[node]),
        SOON,
        || {
            hosts.on(node, registered) == "1"
                && keeper.replay.log().matches("archive hopped").count() > 0
        },
    );
}

#[test]
fn an_archive_follows_switchovers_under_load_and_has_one_history_over_them() {
    let hosts = Hosts::standbys_of(&[15, 15], &tables());
    let keeper = Keeper::start(&hosts);
    write(&hosts, 0, 100, 50);
    keeper.replay.run(&["base"]).ok();
    write(&hosts, 0, 101, 20);
    let (epoch, before) = keeper.switch();
    let rows_before = digests(&hosts, 0, DB);
    wait_can(&hosts, 1);
    let writers = Writers::start(&hosts);
    writers.wait_for_more(30);
    switch(&hosts, 0, 1, &[]);
    writers.wait_for_more(30);
    writers.stop(&hosts, 1);
    wait_followed(&hosts, &keeper, 1);
    let (epoch_after, _) = keeper.switch();
    assert_ne!(epoch, epoch_after);
    keeper.replay.run(&["archive", "verify"]).ok();
    keeper.replay.run(&["archive", "check"]).ok();
    let list = keeper.list();
    let hop = &list["stretches"][1]["hop"];
    assert_eq!(hop["kind"], "switchover", "{list}");
    assert_eq!(list["stretches"][1]["branch"], Value::Null, "{list}");
    // Over the border, and before it.
    keeper.restore(&hosts, 1, "latest", &[]);
    keeper.assert_is(&hosts, (1, "latest"), 1);
    keeper.restore(&hosts, 1, "then", &["--to", &before, "--epoch", &epoch]);
    assert_eq!(digests(&hosts, 1, "then"), rows_before);
    let sequence = "select last_value >= (select max(id) from numbered) from numbered_id_seq";
    assert_eq!(hosts.nodes[1].psql("latest", sequence), "t");
    // A base behind the border, and the way back. The former provider holds nothing for the archive.
    keeper.replay.run(&["base"]).ok();
    let left = "select count(*) from pgq.get_consumer_info() where consumer_name = 'keeper/backup'";
    wait_until("the provider before to be told", SOON, || {
        hosts.on(0, left) == "0"
    });
    write(&hosts, 1, 102, 30);
    keeper.switch();
    keeper.replay.run(&["stop"]).ok();
    wait_can(&hosts, 0);
    switch(&hosts, 1, 0, &[]);
    killed_at_the_border(&hosts, &keeper, 0);
    write(&hosts, 0, 103, 40);
    keeper.switch();
    let oldest = keeper.list()["bases"][0]["base"]
        .as_str()
        .unwrap()
        .to_owned();
    keeper.restore(&hosts, 0, "twice", &["--base", &oldest]);
    keeper.assert_is(&hosts, (0, "twice"), 0);
    keeper.restore(&hosts, 0, "once", &[]);
    keeper.assert_is(&hosts, (0, "once"), 0);
    wait_until("the provider before to be told", SOON, || {
        hosts.on(1, left) == "0"
    });
    // What nobody has any more is a hole, and nothing is restored over it.
    keeper.replay.run(&["stop"]).ok();
    write(&hosts, 0, 104, 10);
    hosts.replays[1].run(&["wait", "--timeout", "120"]).ok();
    hosts.die(0);
    fail_over(&hosts, 1, &["--to", "pollux", "--fenced"]);
    keeper.follow(&hosts, &[1]);
    keeper.replay.run(&["start", "-d"]).ok();
    write(&hosts, 1, 105, 10);
    wait_until("a hole", SOON, || {
        keeper.replay.log().contains("archive hole")
    });
    keeper.switch();
    let said = keeper.replay.run(&["archive", "check"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stderr.contains("holes: 1"), "{}", said.stderr);
    hosts.nodes[1].create_db("over");
    let into = hosts.nodes[1].socket_conninfo("over");
    let said = keeper
        .replay
        .run(&["restore", "--no-owner", "--into", &into]);
    assert_eq!(said.code, 3, "{}", said.stdout);
    assert!(
        said.stderr.contains("events are missing"),
        "{}",
        said.stderr
    );
    keeper.replay.run(&["base"]).ok();
    keeper.restore(&hosts, 1, "behind", &[]);
    keeper.assert_is(&hosts, (1, "behind"), 1);
}

/// SIGKILL between the steps of going over to a provider: before its tables know the archive, before the border is
/// written, and before the provider before is told. Each time the next start goes on.
fn killed_at_the_border(hosts: &Hosts, keeper: &Keeper, node: usize) {
    let replay = &keeper.replay;
    let borders = || keeper.list()["stretches"].as_array().unwrap().len();
    let before = borders();
    let registered =
        "select count(*) from pgq.get_consumer_info() where consumer_name = 'keeper/backup'";
    let hold = || {
        Session::holding(
            &hosts.nodes[node],
            DB,
            "select 1 from trunkline.captured for update",
        )
    };
    let start = || {
        replay.run(&["start", "-d"]).ok();
        wait_until("the consumer", SOON, || hosts.on(node, registered) == "1");
        assert_eq!(borders(), before);
        replay.pid().unwrap()
    };
    let holder = hold();
    start();
    replay.kill9();
    holder.ask("rollback");
    // The next file that gets its name is the border.
    let holder = hold();
    let pid = start();
    let mut strace = Command::new("strace");
    let calls = "link,linkat,rename,renameat,renameat2";
    let mut strace = strace
        .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()])
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:signal=SIGKILL")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the daemon to be traced", SOON, || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.into_iter().all(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        })
    });
    holder.ask("rollback");
    strace.wait().unwrap();
    wait_until("the daemon to be dead", SOON, || !pid_alive(pid));
    assert_eq!(borders(), before);
    replay.run(&["archive", "verify"]).ok();
    replay.run(&["start", "-d"]).ok();
    wait_until("the border", SOON, || borders() > before);
    replay.kill9();
    replay.run(&["archive", "verify"]).ok();
    replay.run(&["start", "-d"]).ok();
    assert_eq!(borders(), before + 1);
}

#[test]
fn an_archive_that_has_more_than_the_next_provider_keeps_that_as_a_branch_and_one_with_less_gets_the_rest()
 {
    let hosts = Hosts::standbys_of(&[15, 15, 15], &tables());
    let keeper = Keeper::start(&hosts);
    hosts.wait_relaying(1);
    hosts.wait_relaying(2);
    write(&hosts, 0, 100, 50);
    keeper.replay.run(&["base"]).ok();
    for node in [1, 2] {
        hosts.wait_level(0, node);
    }
    // More: the standbys do not get the last rows, and the archive does.
    for node in [1, 2] {
        hosts.replays[node].kill9();
    }
    write(&hosts, 0, 101, 20);
    let (lost_epoch, lost_tick) = keeper.switch();
    let lost = digests(&hosts, 0, DB);
    hosts.die(0);
    for node in [1, 2] {
        hosts.replays[node].run(&["start", "-d"]).ok();
    }
    fail_over(&hosts, 1, &["--to", "pollux", "--fenced"]);
    write(&hosts, 1, 102, 30);
    wait_followed(&hosts, &keeper, 1);
    keeper.switch();
    let list = keeper.list();
    let second = &list["stretches"][1];
    assert_eq!(second["hop"]["kind"], "failover", "{list}");
    assert_eq!(
        second["branch"][0].as_str(),
        Some(lost_epoch.as_str()),
        "{list}"
    );
    let said = keeper.replay.run(&["archive", "list"]).ok().stdout;
    assert!(said.contains("isabranchthatnothinggoesonfrom"), "{said}");
    keeper.replay.run(&["archive", "verify"]).ok();
    keeper.restore(&hosts, 1, "latest", &[]);
    keeper.assert_is(&hosts, (1, "latest"), 1);
    // What was lost is there, for who asks for it by its queue.
    hosts.nodes[1].create_db("no");
    let into = hosts.nodes[1].socket_conninfo("no");
    let there = list["stretches"][1]["to"][1]
        .as_str()
        .unwrap()
        .parse::<i64>()
        .unwrap();
    if lost_tick.parse::<i64>().unwrap() > there {
        let said =
            keeper
                .replay
                .run(&["restore", "--no-owner", "--into", &into, "--to", &lost_tick]);
        assert_eq!(said.code, 3, "{}", said.stdout);
        assert!(said.stderr.contains("is on a branch"), "{}", said.stderr);
    }
    keeper.restore(
        &hosts,
        1,
        "lost",
        &["--to", &lost_tick, "--epoch", &lost_epoch],
    );
    assert_eq!(digests(&hosts, 1, "lost"), lost);
    // Less: the archive is away while its provider dies, and the next one has logged what it lacks.
    hosts.wait_level(1, 2);
    hosts.wait_relaying(2);
    keeper.replay.run(&["stop"]).ok();
    write(&hosts, 1, 103, 15);
    hosts.replays[2].run(&["wait", "--timeout", "120"]).ok();
    hosts.die(1);
    fail_over(
        &hosts,
        2,
        &["--to", "helen", "--fenced", "--without", "castor"],
    );
    write(&hosts, 2, 104, 25);
    keeper.replay.run(&["start", "-d"]).ok();
    let hops = || keeper.list()["stretches"].as_array().unwrap().len();
    wait_until("the archive to follow helen", SOON, || hops() == 3);
    keeper.switch();
    keeper.replay.run(&["archive", "check"]).ok();
    keeper.restore(&hosts, 2, "latest", &[]);
    keeper.assert_is(&hosts, (2, "latest"), 2);
}
