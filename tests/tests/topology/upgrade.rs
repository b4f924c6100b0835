//! `replay upgrade`: a live database moves to a newer server while it is written, with the commands of docs/upgrade.md.
//! The command is killed, with all that it has started, and goes on; the way back loses nothing.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Cluster, Node, Output, Programs, choose, compare, run, signal, tables_of};

use crate::set::{DB, Hosts};
use crate::switchover::{TABLES, Writers};

/// What a schema has beside tables.
const MORE: &str = "\
    create role app nologin; create role linguist nologin; \
    create text search dictionary words (template = simple); alter text search dictionary words owner to linguist; \
    create table plain (a int, b text); insert into plain values (1, 'x'), (1, 'x'), (2, null); \
    create view seen as select * from counted; grant select on counted to app; alter table plain owner to app; \
    create index numbered_writer on numbered (writer); \
    create function touched() returns trigger language plpgsql as 'begin return new; end'; \
    create trigger touched before insert on numbered for each row execute procedure touched(); \
    create table child (id int primary key, n int references numbered); \
    create sequence alone; select setval('alone', 41)";

/// The next number of a sequence that no table uses.
fn next_number(node: &Cluster) -> String {
    node.psql(DB, "begin read write; select nextval('alone'); commit")
}

/// An upgrade of two servers in a directory.
struct Upgrade {
    hosts: Hosts,
    dir: PathBuf,
    user: &'static str,
}

impl Upgrade {
    fn of(versions: [u32; 2], tables: &str, user: &'static str) -> Upgrade {
        let mut hosts = Hosts::bare(&versions, tables);
        let dir = hosts.scratches[0].path().join("upgrade");
        let daemons = ["old", "new"].map(|node| {
            ["ticker", "replay"].map(|program| {
                let config = dir.join(format!("{node}-{program}.toml"));
                let mut daemon = Node::new(program, &hosts.scratches[0], &config, node);
                daemon.pidfile = dir.join(format!("{node}-{program}.pid"));
                daemon
            })
        });
        hosts.end_at_last(daemons.into_iter().flatten());
        Upgrade { hosts, dir, user }
    }

    fn conninfo(&self, node: usize) -> String {
        let port = self.hosts.nodes[node].port();
        format!("host=127.0.0.1 port={port} user={} dbname={DB}", self.user)
    }

    /// The command of the manual that has these words, for these servers.
    fn command(&self, words: &str) -> Command {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/upgrade.md");
        let page = std::fs::read_to_string(page).unwrap();
        let page = page.replace("\\\n", " ");
        let found = page.lines().find(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            line.starts_with("replay upgrade ") && line.ends_with(words)
        });
        let line =
            found.unwrap_or_else(|| panic!("no command of docs/upgrade.md ends with {words}"));
        let line = line
            .replace("host=old dbname=db1 user=postgres", &self.conninfo(0))
            .replace("host=new dbname=db1 user=postgres", &self.conninfo(1))
            .replace("/srv/upgrade", &self.dir.display().to_string());
        let mut command = Command::new("sh");
        let path = format!(
            "{}:{}",
            Programs::get().dir().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        command
            .args(["-c", &format!("exec {line}")])
            .env("PATH", path);
        command
    }

    fn run(&self, words: &str) -> Output {
        run(&mut self.command(words))
    }

    /// Runs it with more options, and gives its JSON.
    #[track_caller]
    fn json(&self, more: &[&str]) -> Value {
        let mut command = Command::new(Programs::get().path("replay"));
        command
            .args(["upgrade", "--json", "--dir"])
            .arg(&self.dir)
            .args(more);
        let said = run(&mut command).ok();
        serde_json::from_str(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
    }

    /// Kills the command, and all that it has started, so long after it has begun a step.
    fn kill_at(&self, step: &str, after: Duration) {
        let mut child = Command::new(Programs::get().path("replay"))
            .args(["upgrade", "--yes", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = Vec::new();
        for line in lines {
            let line = line.unwrap();
            let is_there = line.starts_with("==> ") && line.ends_with(&format!(": {step}"));
            seen.push(line);
            if is_there {
                break;
            }
        }
        let last = seen.last().map(String::as_str).unwrap_or_default();
        assert!(last.ends_with(&format!(": {step}")), "{step}: {seen:?}");
        std::thread::sleep(after);
        let group = i32::try_from(child.id()).unwrap();
        signal(-group, Signal::SIGKILL);
        child.wait().unwrap();
    }

    fn assert_same(&self) {
        for table in tables_of(&self.hosts.nodes[0], DB) {
            compare(
                (&self.hosts.nodes[0], DB),
                (&self.hosts.nodes[1], DB),
                &table,
            )
            .unwrap_or_else(|difference| panic!("{difference}"));
        }
    }

    /// Waits until the one that follows has everything.
    fn wait(&self, node: &str) {
        let config = self.dir.join(format!("{node}-replay.toml"));
        let mut wait = Command::new(Programs::get().path("replay"));
        wait.arg("-c")
            .arg(config)
            .args(["wait", "--timeout", "120"]);
        run(&mut wait).ok();
    }
}

fn there_back_and_there_again(versions: [u32; 2], kills: &[(&str, u64)]) {
    let upgrade = Upgrade::of(versions, &format!("{TABLES}; {MORE}"), "postgres");
    let (old, new) = (&upgrade.hosts.nodes[0], &upgrade.hosts.nodes[1]);
    let mut writers = Writers::alone(&upgrade.hosts);
    writers.wait_for_more(20);

    // The plan touches nothing.
    let plan = upgrade.run("--dry-run").ok().stdout;
    assert!(plan.contains("7 switchover (to do): "), "{plan}");
    assert!(!upgrade.dir.exists());
    // The doctor keeps it from beginning: a role is not there.
    let refused = upgrade.run("--until check").code(3);
    assert!(
        refused.stdout.contains("not there: app, linguist"),
        "{}",
        refused.stdout
    );
    assert_eq!(old.psql(DB, "select to_regnamespace('trunkline')"), "");
    new.psql(DB, "create role app nologin; create role linguist nologin");

    for (step, ms) in kills.iter().filter(|(step, _)| *step != "switchover") {
        upgrade.kill_at(step, Duration::from_millis(*ms));
    }
    let ready = upgrade.run("--until ready").ok();
    assert!(ready.stdout.contains("==> 6/7: ready"), "{}", ready.stdout);
    // From here on the new tables are a standby's.
    writers.watch(&upgrade.hosts);
    let (from, to) = (
        old.psql(DB, "select count(*) from written"),
        "select count(*) from written",
    );
    assert_ne!(from, "0");
    assert_ne!(new.psql(DB, to), "0");
    // A table that was made since the copy would be empty on the new one.
    let late = "begin read write; create table late (id int primary key); commit";
    old.psql(DB, late);
    upgrade.run("--yes").code(3).says(&["public.late"]);
    old.psql(DB, "drop table late");
    // Wherever a switchover is killed, the way back leads back.
    upgrade.kill_at("switchover", Duration::from_millis(80));
    upgrade.run("--back").ok();
    writers.wait_for_more(20);
    // Nobody is asked, and nobody has agreed.
    let asked = upgrade.json_code(1);
    assert_eq!(asked["provider"], "old", "{asked}");
    for (_, ms) in kills.iter().filter(|(step, _)| *step == "switchover") {
        upgrade.kill_at("switchover", Duration::from_millis(*ms));
    }
    let done = upgrade.run("--yes").ok();
    writers.wait_for_more(20);
    let state = upgrade.json(&[]);
    assert_eq!(state["provider"], "new", "{state}\n{}", done.stdout);
    assert_eq!(state["done"].as_array().unwrap().len(), 7, "{state}");
    // What the schema has beside tables is there, and whose it was.
    let more = "select count(*) from pg_trigger where tgname = 'touched' union all \
        select count(*) from pg_class where relname in ('seen', 'numbered_writer') union all \
        select count(*) from pg_class c join pg_roles r on r.oid = relowner where relname = 'plain' and rolname = 'app' \
        union all select count(*) from pg_constraint where conname = 'child_n_fkey' and convalidated";
    assert_eq!(new.psql(DB, more), "1\n2\n1\n1");
    let refused = old.try_psql(DB, "begin read write; insert into plain values (3, 'lost')");
    assert!(refused.stderr.contains("takes no writes"), "{refused:?}");

    // A sequence goes on, though no table uses it.
    assert_eq!(next_number(new), "42");

    // The way back, with what the new one has taken: all of it, or none.
    new.psql(DB, late);
    upgrade.run("--back").code(3).says(&["public.late"]);
    new.psql(DB, "begin read write; drop table late; commit");
    new.psql(
        DB,
        "begin read write; insert into plain values (7, 'of the new one'); commit",
    );
    let back = upgrade.run("--back").ok();
    assert!(
        back.stdout.contains("the old database is the provider"),
        "{}",
        back.stdout
    );
    writers.wait_for_more(20);
    assert_eq!(old.psql(DB, "select count(*) from plain where a = 7"), "1");
    assert_eq!(next_number(old), "43");
    let again = upgrade.run("--yes").ok();
    assert!(
        again
            .stdout
            .contains("the new database is the provider, writes have waited"),
        "{}",
        again.stdout
    );
    writers.wait_for_more(20);
    let state = upgrade.json(&[]);
    for pause in ["pause_ms", "back_pause_ms"] {
        let ms = state[pause]
            .as_f64()
            .unwrap_or_else(|| panic!("{pause}: {state}"));
        println!("{versions:?} {pause} {ms:.0}");
    }
    assert_eq!(next_number(new), "44");
    writers.stop(&upgrade.hosts, 1);
    upgrade.wait("old");
    upgrade.assert_same();

    upgrade.run("--finish --yes").ok();
    assert_eq!(new.psql(DB, "select to_regnamespace('trunkline')"), "");
    upgrade.finish_again_after_a_kill();
    new.psql(DB, "insert into plain values (8, 'alone')");
    let closed = old.try_psql(DB, "begin read write; insert into plain values (8, 'lost')");
    assert!(closed.stderr.contains("takes no writes"), "{closed:?}");
    // All of it is over, and says so.
    upgrade.run("--finish --yes").ok();
    upgrade.run("--yes").code(3).says(&["is finished"]);
}

impl Upgrade {
    /// The end, killed after it has taken everything of ours out, and before it has noted that: what the databases say
    /// is that the old one has a part in the upgrade, and the new one has none.
    fn finish_again_after_a_kill(&self) {
        let path = self.dir.join("upgrade.json");
        let read = || -> Value { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
        let write = |notes: &Value| std::fs::write(&path, notes.to_string()).unwrap();
        let noted = read();
        let mut killed = noted.clone();
        assert_eq!(killed["finished"], "new");
        killed["finished"] = Value::Null;
        // Without any note nobody is taken for the provider.
        let mut lost = killed.clone();
        lost["finishing"] = Value::Null;
        write(&lost);
        self.run("--finish --yes")
            .code(3)
            .says(&["the new database has no part in the upgrade"]);
        write(&killed);
        self.run("--back").code(3).says(&["is being finished"]);
        let again = self.run("--finish --yes").ok();
        assert!(
            again
                .stdout
                .contains("the new database has nothing of ours any more"),
            "{}",
            again.stdout
        );
        assert_eq!(read(), noted);
    }

    /// Runs it without anybody who could be asked, up to this exit code.
    #[track_caller]
    fn json_code(&self, code: i32) -> Value {
        let mut command = Command::new(Programs::get().path("replay"));
        command.args(["upgrade", "--json", "--dir"]).arg(&self.dir);
        let said = run(command.stdin(Stdio::null())).code(code);
        serde_json::from_str(&said.stdout).unwrap()
    }
}

#[test]
fn a_live_database_moves_from_10_to_18_and_back_and_a_killed_upgrade_goes_on() {
    let all = vec![
        ("check", 0),
        ("install", 300),
        ("install", 1500),
        ("schema", 0),
        ("schema", 300),
        ("copy", 0),
        ("copy", 700),
        ("compare", 50),
        ("ready", 0),
        ("switchover", 0),
        ("switchover", 60),
        ("switchover", 250),
    ];
    let some = vec![("schema", 150), ("switchover", 200)];
    there_back_and_there_again([10, 18], &choose("kills", all, some));
}

#[test]
#[ignore = "etc/test.sh --full"]
fn a_live_database_moves_from_13_and_15_to_18() {
    for version in [13, 15] {
        there_back_and_there_again([version, 18], &[("copy", 100), ("switchover", 100)]);
    }
}

#[test]
fn an_upgrade_needs_no_superuser_where_a_role_may_have_the_rights() {
    let upgrade = Upgrade::of([15, 18], "select 1", "owner");
    for node in &upgrade.hosts.nodes {
        node.psql(
            "postgres",
            &format!(
                "create role owner login createrole; alter database {DB} owner to owner; \
                 grant set on parameter session_replication_role to owner"
            ),
        );
    }
    let (old, new) = (&upgrade.hosts.nodes[0], &upgrade.hosts.nodes[1]);
    old.psql(
        DB,
        "set role owner; create schema app; create table app.t (id serial primary key, v text); \
         insert into app.t (v) select 'v' from generate_series(1, 100)",
    );
    old.psql(
        "postgres",
        &format!("alter database {DB} set work_mem to '9MB'"),
    );
    // A table that is there already keeps the whole schema from being made.
    new.psql(DB, "create table stray (a int)");
    let refused = upgrade.run("--until ready").code(3);
    let refused = refused.says(&["public.stray", "--keep-schema"]);
    // What it could not see is said.
    assert!(
        refused.stdout.contains("UNKNOWN transactions from"),
        "{}",
        refused.stdout
    );
    new.psql(DB, "drop table stray");
    let done = upgrade.run("--until ready").ok();
    let setting = format!("not made: alter database {DB} set work_mem to '9MB'");
    assert!(done.stderr.contains(&setting), "{}", done.stderr);
    assert_eq!(new.psql(DB, "select count(*) from app.t"), "100");
    upgrade.run("--yes").ok();
    assert_eq!(upgrade.json(&[])["provider"], "new");
    new.psql(
        DB,
        "begin read write; insert into app.t (v) values ('new'); commit",
    );
    upgrade.run("--back").ok();
    assert_eq!(
        old.psql(DB, "select max(id) from app.t where v = 'new'"),
        "101"
    );

    // A directory is for one pair of databases.
    let swapped = [upgrade.conninfo(1), upgrade.conninfo(0)];
    let mut other = Command::new(Programs::get().path("replay"));
    other.args([
        "upgrade",
        "--from",
        &swapped[0],
        "--to",
        &swapped[1],
        "--dir",
    ]);
    run(other.arg(&upgrade.dir))
        .code(2)
        .says(&["other databases"]);
    let mut secret = Command::new(Programs::get().path("replay"));
    let conninfo = format!("{} password=secret", swapped[0]);
    secret.args([
        "upgrade",
        "--from",
        &conninfo,
        "--to",
        &swapped[1],
        "--dir",
        "/nowhere/x",
    ]);
    run(&mut secret).code(2).says(&["password file"]);
}
