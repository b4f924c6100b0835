//! The examples of docs/queue.md, run as they are written.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{Daemons, Node, Output, run, wait_until};

use crate::repository;
use crate::stage::{LIMIT, PYTHON, Stage};

#[allow(unreachable_pub, reason = "written as a library is")]
#[path = "../../../etc/examples/consumer.rs"]
mod consumer_rs;

/// A database `app` with the queue installed, and a ticker on it.
struct App {
    // Dropped first: they are found by pid files of the stage.
    _daemons: Daemons,
    stage: Stage,
}

impl App {
    fn new() -> App {
        let stage = Stage::new();
        stage.cluster.create_db("app");
        let config = stage.scratch.file(
            "app.toml",
            &format!(
                "[ticker]\njob_name = \"app\"\ndb = \"{}\"\nlogfile = \"{}/app.log\"\npidfile = \"{}/app.pid\"\n\
                 retry_delay = \"0.2 s\"\n",
                stage.cluster.conninfo("app"),
                stage.scratch.dir("log").display(),
                stage.scratch.dir("run").display()
            ),
        );
        let ticker = Node::new("ticker", &stage.scratch, &config, "app");
        let daemons = Daemons(vec![ticker.clone()]);
        ticker.run(&["install"]).ok();
        ticker.run(&["start", "-d"]).ok();
        App {
            _daemons: daemons,
            stage,
        }
    }

    fn psql(&self, example: &str) -> Output {
        self.stage
            .cluster
            .psql_file("app", &repository("etc/examples").join(example))
    }

    /// Python, as it finds the server by its environment.
    fn python(&self, arguments: &[&str]) -> Command {
        let cluster = &self.stage.cluster;
        let mut command = Command::new(PYTHON);
        command
            .args(arguments)
            .current_dir(repository("etc/examples"))
            .env("PGHOST", cluster.socket_dir())
            .env("PGPORT", cluster.port().to_string())
            .env("PGUSER", "postgres")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs it until its output holds all of these lines.
    fn runs_until(&self, name: &str, command: &mut Command, lines: &[&str]) {
        let out = self.stage.scratch.path().join(name);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(out.with_extension("err")).unwrap())
            .spawn()
            .unwrap();
        let holds = || {
            let text = std::fs::read_to_string(&out).unwrap();
            lines
                .iter()
                .all(|line| text.lines().any(|found| found == *line))
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(name, LIMIT, holds)
        }));
        child.kill().unwrap();
        child.wait().unwrap();
        if ended.is_err() {
            let show = |path: &Path| std::fs::read_to_string(path).unwrap();
            panic!(
                "{name}: {}\n{}",
                show(&out),
                show(&out.with_extension("err"))
            );
        }
    }
}

#[test]
fn the_examples_do_what_they_say() {
    let app = App::new();
    let produced = app.psql("queue.sql").ok().stdout;
    for line in [
        "welcome|alice@example.com",
        "welcome|bob@example.com",
        "goodbye|carol@example.com",
    ] {
        assert!(produced.contains(line), "no {line} in {produced}");
    }
    assert_eq!(
        app.stage
            .cluster
            .psql("app", "select count(*) from pgq.retry_queue"),
        "1"
    );
    app.psql("roles.sql").ok();
    let may = |role: &str, function: &str| {
        let ask = format!("select has_function_privilege('{role}', 'pgq.{function}', 'execute')");
        app.stage.cluster.psql("app", &ask) == "t"
    };
    assert!(may("shop", "insert_event(text, text, text)"));
    assert!(may(
        "shop",
        "insert_events(text, text[], text[], text[], text[], text[], text[])"
    ));
    assert!(!may("shop", "next_batch(text, text)"));
    assert!(may("mailer", "next_batch(text, text)"));
    assert!(!may("mailer", "ticker(text)"));

    // Consumers of every kind are there before the next events.
    run(&mut app.python(&["consumer.py", "--register", "consumer.ini"])).ok();
    run(&mut app.python(&["workers.py", "--register", "workers.ini"])).ok();
    app.stage
        .cluster
        .psql("app", "select pgq.register_consumer('jobs', 'rust')");
    app.psql("trigger.sql").ok();
    app.stage.cluster.psql(
        "app",
        "select pgq.insert_events('jobs', array['welcome', 'goodbye'], array['dave', 'erin'])",
    );
    let insert = "{\"op\":\"INSERT\",\"table\":[\"public\",\"customer\"],\"pkey\":[\"id\"]} {\"id\":1,\"name\":\"Alice\"}";
    let update = "{\"op\":\"UPDATE\",\"table\":[\"public\",\"customer\"],\"pkey\":[\"id\"]} {\"id\":1,\"name\":\"Alice B.\"}";
    app.runs_until(
        "mailer",
        &mut app.python(&["consumer.py", "consumer.ini"]),
        &[insert, update, "welcome dave", "goodbye erin"],
    );
    app.runs_until(
        "worker",
        &mut app.python(&["workers.py", "--set", "subconsumer_name=w7", "workers.ini"]),
        &[
            &format!("w7 {insert}"),
            "w7 welcome dave",
            "w7 goodbye erin",
        ],
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (seen, turns) = (RefCell::new(Vec::new()), Cell::new(0));
    runtime.block_on(async {
        let client = app.stage.cluster.connect("app").await;
        let mut handle = |kind: &str, data: &str| seen.borrow_mut().push(format!("{kind} {data}"));
        let go_on = || {
            turns.set(turns.get() + 1);
            seen.borrow().len() < 4 && turns.get() < 300
        };
        consumer_rs::consume(&client, "jobs", "rust", &mut handle, go_on)
            .await
            .unwrap();
    });
    assert_eq!(
        seen.into_inner(),
        [insert, update, "welcome dave", "goodbye erin"]
    );
}
