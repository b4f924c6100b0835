//! `trunkline queue` and `trunkline consumer`: what they change, what they print, and what they refuse.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tests::{Cluster, Output, Scratch, Session, run, wait_until};

use super::trunkline;

/// A server with the queue in `db1` and `db2`, and a config that names what it is told.
pub(crate) struct Desk {
    cluster: Cluster,
    scratch: Scratch,
    config: PathBuf,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let (cluster, scratch) = (Cluster::start(), Scratch::new());
        cluster.create_db("db1");
        cluster.create_db("db2");
        let config = scratch.file("none.toml", "");
        let mut desk = Desk {
            cluster,
            scratch,
            config,
        };
        desk.name("databases = [\"db1\", \"db2\"]");
        let mut install = std::process::Command::new(tests::Programs::get().path("ticker"));
        run(install.arg("-c").arg(&desk.config).arg("install")).ok();
        desk.name("databases = [\"db1\"]");
        desk
    }

    /// Writes the config anew.
    fn name(&mut self, databases: &str) {
        let text = format!(
            "[ticker]\njob_name = \"t1\"\ndb = \"{}\"\n{databases}\npidfile = \"{}/t1.pid\"\n",
            self.cluster.conninfo("postgres"),
            self.scratch.path().display()
        );
        self.config = self.scratch.file("t.toml", &text);
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        run(trunkline().arg("-c").arg(&self.config).args(args))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args).ok().stdout).unwrap()
    }

    pub(crate) fn sql(&self, text: &str) -> String {
        self.cluster.psql("db1", text)
    }

    /// Makes a tick whatever the thresholds say, and gives its number.
    fn tick(&self, queue: &str) -> i64 {
        let before: i64 = self
            .sql(&format!("select pgq.force_tick('{queue}')"))
            .parse()
            .unwrap();
        wait_until("a tick", Duration::from_secs(120), || {
            self.sql(&format!("select pgq.ticker('{queue}')"));
            self.last_tick(queue) > before
        });
        self.last_tick(queue)
    }

    /// Makes a rotation due, and does it as far as it can be done.
    fn rotate(&self, queue: &str) {
        self.sql("update pgq.queue set queue_switch_time = now() - interval '1 year'");
        self.sql(&format!("select pgq.maint_rotate_tables_step1('{queue}')"));
        self.sql("select pgq.maint_rotate_tables_step2()");
    }

    fn last_tick(&self, queue: &str) -> i64 {
        let text = format!("select last_tick_id from pgq.get_queue_info('{queue}')");
        self.sql(&text).parse().unwrap()
    }
}

#[test]
fn a_queue_is_made_listed_set_shown_and_dropped() {
    let desk = Desk::new();
    assert!(
        desk.run(&["queue", "create", "jobs"])
            .ok()
            .stdout
            .contains("queue jobs made")
    );
    let again = desk.run(&["queue", "create", "jobs"]).ok();
    assert!(again.stdout.contains("there already"), "{}", again.stdout);
    desk.run(&[
        "queue",
        "create",
        "at-once",
        "--replication",
        "rotation_period=1 hour",
    ])
    .ok();
    desk.run(&["consumer", "register", "jobs", "mailer"]).ok();
    desk.sql("select pgq.insert_event('jobs', 't', g::text) from generate_series(1, 7) g");

    let list = desk.run(&["queue", "list"]).ok().stdout;
    let mut lines = list.lines();
    assert_eq!(
        lines.next().unwrap(),
        "Database Queue Rotation Ticker LastTick TickLag Events/s NewEvents Consumers Size State"
    );
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert_eq!(
        words[..4],
        ["db1", "at-once", "0/3/1h0min", "1/0.00s/1min0s"]
    );
    let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert_eq!(
        words[..5],
        ["db1", "jobs", "0/3/2h0min", "500/3.00s/1min0s", "1"]
    );
    assert_eq!((words[7], words[8], words[10]), ("7", "1", "ok"));
    assert_eq!(lines.next(), None);

    let found = desk.json(&["queue", "list", "--json"]);
    let jobs = &found[1];
    assert_eq!(
        (&jobs["database"], &jobs["name"]),
        (&"db1".into(), &"jobs".into())
    );
    assert_eq!(jobs["ticker_max_count"], 500);
    assert_eq!(jobs["ticker_idle_period_seconds"], 60.0);
    assert_eq!(
        (&jobs["tables"], &jobs["current_table"]),
        (&3.into(), &0.into())
    );
    assert_eq!(jobs["rotation_period_seconds"], 7200.0);
    assert_eq!(jobs["pending_events"], 7);
    assert_eq!(jobs["consumer_list"][0]["name"], "mailer");

    let settings = [
        "ticker_max_count=1",
        "ticker_max_lag=2 seconds",
        "ticker_paused=true",
    ];
    desk.run(&[&["queue", "set", "jobs"], &settings[..]].concat())
        .ok();
    let info = desk.json(&["queue", "info", "jobs", "--json"]);
    assert_eq!(info["ticker_max_count"], 1);
    assert_eq!(info["ticker_max_lag_seconds"], 2.0);
    assert_eq!(info["ticker_paused"], true);
    let text = desk.run(&["queue", "info", "jobs"]).ok().stdout;
    for part in [
        "a tick after 1 events",
        "; paused",
        "table 0 of 3",
        "7 since the last tick",
        "mailer",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }

    desk.run(&["queue", "drop", "jobs"])
        .code(3)
        .says(&["consumers still attached", "--force"]);
    desk.run(&["queue", "drop", "jobs", "--force"]).ok();
    desk.run(&["queue", "drop", "jobs"])
        .code(3)
        .says(&["no queue jobs", "db1"]);
    assert_eq!(desk.sql("select count(*) from pgq.consumer"), "0");
}

#[test]
fn cf_02_settings_are_all_changed_or_none() {
    let desk = Desk::new();
    desk.run(&["queue", "create", "q"]).ok();
    desk.run(&[
        "queue",
        "set",
        "q",
        "ticker_max_count=7",
        "rotation_period=-1 s",
    ])
    .code(3)
    .says(&["out of range"]);
    desk.run(&["queue", "set", "q", "ticker_max_count=7", "nonsense=1"])
        .code(3)
        .says(&["nonsense"]);
    assert_eq!(
        desk.sql("select queue_ticker_max_count from pgq.queue"),
        "500"
    );
    // A queue that cannot be made as it was asked for is not made.
    desk.run(&["queue", "create", "r", "ticker_max_count=0"])
        .code(3);
    assert_eq!(desk.sql("select count(*) from pgq.queue"), "1");
    desk.run(&["queue", "set", "q"]).code(2);
    desk.run(&["queue", "set", "q", "ticker_max_count"])
        .code(2)
        .says(&["KEY=VALUE"]);
    desk.run(&["queue", "set", "none", "ticker_max_count=7"])
        .code(3);
}

#[test]
fn a_consumer_is_registered_moved_and_removed() {
    let desk = Desk::new();
    desk.run(&["queue", "create", "q"]).ok();
    let first = desk.last_tick("q");
    desk.sql("select pgq.insert_event('q', 't', g::text) from generate_series(1, 10) g");
    let second = desk.tick("q");
    desk.run(&["consumer", "register", "q", "now"]).ok();
    let early = desk
        .run(&["consumer", "register", "q", "early", "--at", "first"])
        .ok();
    assert!(
        early.stdout.contains(&format!("at tick {first}")),
        "{}",
        early.stdout
    );

    let list = desk.json(&["consumer", "list", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(
        (&list[0]["queue"], &list[0]["name"]),
        (&"q".into(), &"early".into())
    );
    assert_eq!(list[0]["last_tick"], first);
    assert!(list[0]["pending_events"].as_i64().unwrap() >= 10);
    assert!(list[0]["lag_seconds"].as_f64().unwrap() >= 0.0);
    assert!(list[0]["last_seen_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(
        (&list[1]["last_tick"], &list[1]["pending_events"]),
        (&second.into(), &0.into())
    );
    let text = desk.run(&["consumer", "list", "q"]).ok().stdout;
    assert!(
        text.starts_with(
            "Database Queue Consumer Lag LastSeen Pending LastTick Batch\ndb1 q early "
        ),
        "{text}"
    );
    desk.run(&["consumer", "list", "none"]).code(3);

    // Again: nothing to do; elsewhere: that is a move.
    desk.run(&["consumer", "register", "q", "now"]).ok();
    desk.run(&["consumer", "register", "q", "now", "--at", "first"])
        .code(3)
        .says(&["registered already", "consumer move"]);
    let batch = desk.sql("select pgq.next_batch('q', 'early')");
    assert_eq!(
        desk.json(&["consumer", "list", "--json"])[0]["batch"].to_string(),
        batch
    );
    let moved = desk
        .run(&["consumer", "move", "q", "early", "last"])
        .ok()
        .stdout;
    assert!(
        moved.contains(&format!("from tick {first} to {second}")),
        "{moved}"
    );
    assert!(moved.contains("events skipped"), "{moved}");
    assert_eq!(
        desk.json(&["consumer", "list", "--json"])[0]["batch"],
        Value::Null
    );
    let back = desk
        .run(&["consumer", "move", "q", "early", &first.to_string()])
        .ok()
        .stdout;
    assert!(back.contains("come again"), "{back}");
    desk.run(&["consumer", "move", "q", "early", "999999"])
        .code(3)
        .says(&["no tick 999999", "can be gone to"]);
    desk.run(&["consumer", "move", "q", "nobody", "last"])
        .code(3)
        .says(&["no consumer nobody"]);
    desk.run(&["consumer", "move", "q", "early", "yesterday"])
        .code(2);
    desk.run(&["consumer", "register", "none", "c"])
        .code(3)
        .says(&["no queue none"]);

    desk.run(&["consumer", "unregister", "q", "early"]).ok();
    desk.run(&["consumer", "unregister", "q", "early"])
        .code(3)
        .says(&["no consumer early"]);
    assert_eq!(
        desk.json(&["consumer", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_tick_whose_events_are_truncated_is_not_gone_back_to() {
    let desk = Desk::new();
    desk.run(&["queue", "create", "q"]).ok();
    desk.run(&["consumer", "register", "q", "keeper"]).ok();
    let first = desk.last_tick("q");
    for _ in 0..4 {
        desk.sql("select pgq.insert_event('q', 't', 'x')");
        desk.tick("q");
        desk.run(&["consumer", "move", "q", "keeper", "last"]).ok();
        desk.rotate("q");
    }
    assert!(
        desk.sql("select queue_truncated_txid from pgq.queue")
            .parse::<i64>()
            .unwrap()
            > 0
    );
    desk.run(&["consumer", "move", "q", "keeper", &first.to_string()])
        .code(3);
    // What `first` names is there to be read.
    desk.run(&["consumer", "move", "q", "keeper", "first"]).ok();
    desk.run(&["consumer", "register", "q", "late", "--at", "first"])
        .ok();
}

#[test]
fn what_holds_a_queue_is_named() {
    let desk = Desk::new();
    desk.run(&["queue", "create", "q"]).ok();
    let check = |args: &[&str]| desk.run(&[&["check", "holders"], args].concat());
    check(&["--warn", "0"]).ok();
    let open = Session::holding(
        &desk.cluster,
        "db1",
        "set local application_name = 'the culprit'; select txid_current()",
    );
    for _ in 0..3 {
        desk.sql("select pgq.insert_event('q', 't', 'x')");
        desk.tick("q");
        desk.rotate("q");
    }
    let info = desk.json(&["queue", "info", "q", "--json"]);
    let holder = &info["holder_list"][0];
    assert_eq!(holder["kind"], "transaction", "{info}");
    assert_eq!(
        holder["pid"].to_string(),
        open.ask("select pg_backend_pid()")
    );
    assert!(holder["held_seconds"].as_f64().unwrap() > 0.0);
    assert!(holder["held_bytes"].as_i64().unwrap() > 0);
    let text = desk.run(&["queue", "info", "q"]).ok().stdout;
    assert!(
        text.contains("held by    transaction the culprit, pid "),
        "{text}"
    );
    let tree = desk.run(&["status"]).ok().stdout;
    assert!(tree.contains("held by transaction the culprit"), "{tree}");
    check(&[]).ok();
    let warned = check(&["--warn", "0"]).code(1);
    assert!(
        warned
            .stdout
            .contains("WARNING holders db1/q: held by transaction the culprit"),
        "{}",
        warned.stdout
    );
    drop(open);
    desk.tick("q");
    desk.rotate("q");
    wait_until("nothing to hold it", Duration::from_secs(120), || {
        check(&["--warn", "0"]).code == 0
    });
}

#[test]
fn with_several_databases_the_one_that_is_meant_is_found_or_asked_for() {
    let mut desk = Desk::new();
    desk.name("databases = [\"db1\", \"db2\"]");
    desk.run(&["queue", "create", "q"])
        .code(2)
        .says(&["db1, db2", "--database"]);
    desk.run(&["queue", "create", "q", "-d", "db2"]).ok();
    let info = desk.json(&["queue", "info", "q", "--json"]);
    assert_eq!(info["database"], "db2");
    desk.run(&["queue", "create", "q", "--database", "db1"])
        .ok();
    desk.run(&["queue", "drop", "q"])
        .code(2)
        .says(&["more than one database has queue q"]);
    desk.run(&["queue", "--database", "db1", "drop", "q"]).ok();
    assert_eq!(
        desk.json(&["queue", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    desk.run(&["queue", "list", "-d", "db3"])
        .code(2)
        .says(&["db3"]);

    // Every database of the server: those without a queue are no trouble.
    desk.name("databases = \"all\"");
    assert_eq!(
        desk.json(&["queue", "info", "q", "--json"])["database"],
        "db2"
    );
    assert_eq!(
        desk.json(&["queue", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // One that cannot be asked is told, the others are shown; nothing is changed by guess.
    desk.name("databases = [\"db2\", \"nowhere\"]");
    let part = desk
        .run(&["queue", "list", "--json"])
        .code(1)
        .says(&["nowhere"]);
    assert!(part.stdout.contains("\"name\": \"q\""), "{}", part.stdout);
    desk.run(&["queue", "drop", "q"]).code(3).says(&["nowhere"]);
    desk.run(&["queue", "drop", "q", "-d", "db2"]).ok();
    desk.name("databases = [\"nowhere\"]");
    desk.run(&["queue", "list"]).code(3);
    desk.name("databases = [\"postgres\"]");
    desk.run(&["queue", "list"])
        .code(3)
        .says(&["not installed", "ticker install"]);
}

#[test]
fn a_replays_file_leads_to_its_provider_and_the_same_database_is_shown_once() {
    let desk = Desk::new();
    desk.run(&["queue", "create", "a b\tc"]).ok();
    let socket = desk.cluster.socket_conninfo("db1");
    let replay = desk.scratch.file(
        "r.toml",
        &format!(
            "[replay]\njob_name = \"r\"\nprovider_db = \"{socket}\"\nsubscriber_db = \"dbname=x\"\n\
             pgq_queue_name = \"a\"\npidfile = \"/tmp/none.pid\"\n"
        ),
    );
    // The ticker's file and the replay's, which reaches the same database by another way.
    std::fs::remove_file(desk.scratch.path().join("none.toml")).unwrap();
    for config in [replay.as_path(), desk.scratch.path()] {
        let list = run(trunkline().arg("-c").arg(config).args(["queue", "list"]));
        let lines: Vec<String> = list.ok().stdout.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        // One word a name, whatever it holds.
        assert!(
            lines[1].starts_with("db1 a\\u{20}b\\u{9}c 0/3"),
            "{lines:?}"
        );
        assert_eq!(lines[1].split(' ').count(), 11);
    }
}
