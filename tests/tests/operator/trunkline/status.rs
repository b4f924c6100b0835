//! The status tells the truth about both sides, in both forms.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::{Programs, Replication, Scratch, Stop, run, wait_until};

use super::trunkline;

const LIMIT: Duration = Duration::from_secs(120);

fn status(config: &Path, code: i32) -> Value {
    let output = run(trunkline().arg("-c").arg(config).args(["status", "--json"])).code(code);
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn op_04_status_tells_the_truth_when_idle_behind_paused_and_disconnected() {
    let replication = Replication::builder().make();
    replication.everywhere("create table t (id int primary key, v text)");
    let (ticker, replay) = (&replication.ticker, &replication.replay);

    replay.run(&["status"]).code(3);
    let before = status(&ticker.config, 3);
    let database = &before["tickers"][0]["databases"][0];
    assert!(
        database["error"]
            .as_str()
            .unwrap()
            .contains("run ticker install")
    );

    replication.start();
    replication.add_all();
    replication.wait_ok();
    let of_ticker = status(&ticker.config, 0);
    let ticker_status = &of_ticker["tickers"][0];
    assert_eq!(ticker_status["running"], true);
    assert_eq!(ticker_status["pid"], ticker.running());
    let queue = &ticker_status["databases"][0]["queues"][0];
    assert_eq!(queue["name"], "q1");
    assert!(queue["last_tick"].as_i64().unwrap() > 0);
    assert!(queue["bytes"].as_i64().unwrap() > 0);
    assert!(queue["consumers"].as_i64().unwrap() >= 1);

    let subscriber = |code| status(&replay.config, code)["replays"][0]["subscribers"][0].clone();
    wait_until("level", LIMIT, || subscriber(0)["state"] == "level");
    let level = subscriber(0);
    assert_eq!(level["reachable"], true);
    assert_eq!(level["tables"]["ok"], 1);
    assert_eq!(level["conflicts"], 0);

    let tree = run(trunkline().arg("-c").arg(&replay.config).arg("status")).ok();
    for part in [
        "replay replay1: running, pid",
        "queue q1: tick ",
        "subscriber: ",
        "tables: 1 ok",
    ] {
        assert!(tree.stdout.contains(part), "{}", tree.stdout);
    }

    replay.run(&["stop"]).ok();
    assert_eq!(subscriber(0)["state"], "stopped");
    // The daemon's own status says with its code that it does not run, as the ticker's does.
    let own = replay.run(&["status", "--json"]).code(5);
    assert!(own.stdout.contains("\"running\": false"), "{}", own.stdout);
    replication.on_provider("insert into t select i, 'x' from generate_series(1, 1000) i");
    wait_until("ticks that are not applied", LIMIT, || {
        subscriber(0)["lag_ticks"].as_i64().unwrap() > 0
    });
    assert!(subscriber(0)["lag_seconds"].as_f64().unwrap() > 0.0);
    assert!(subscriber(0)["pending_events"].as_i64().unwrap() > 0);

    replay.run(&["start", "-d"]).ok();
    wait_until("level again", LIMIT, || subscriber(0)["state"] == "level");
    replay.run(&["pause"]).ok();
    wait_until("paused", LIMIT, || subscriber(0)["state"] == "paused");
    replay.run(&["resume"]).ok();
    wait_until("level after the pause", LIMIT, || {
        subscriber(0)["state"] == "level"
    });

    replication.subscribers[0].stop(Stop::Fast);
    let gone = subscriber(3);
    assert_eq!(
        (&gone["state"], &gone["reachable"]),
        (&"unreachable".into(), &false.into())
    );
    assert!(
        gone["last_error"].as_str().unwrap().contains("port"),
        "{gone}"
    );
}

#[test]
fn se_17_connection_strings_follow_the_environment_as_psql_does() {
    let replication = Replication::builder().make();
    let cluster = &replication.provider;
    let scratch = Scratch::new();
    let config = scratch.file(
        "t.toml",
        "[ticker]\njob_name = \"t\"\ndb = \"dbname=postgres\"\npidfile = \"/tmp/none.pid\"\n",
    );
    let ask = |name: &str, value: &str, more: &[(&str, &str)]| {
        let mut command = trunkline();
        command
            .arg("-c")
            .arg(&config)
            .args(["status", "--json"])
            .env(name, value);
        for (name, value) in more {
            command.env(name, value);
        }
        let output = run(&mut command).code(3);
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        found["tickers"][0]["databases"][0]["error"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // Reached: what is wrong is only that nothing is installed there.
    let port = cluster.port().to_string();
    let user = ("PGUSER", "postgres");
    let reached = ask("PGHOST", "127.0.0.1", &[("PGPORT", &port), user]);
    assert!(reached.contains("run ticker install"), "{reached}");
    let socket = cluster.socket_dir().display().to_string();
    let reached = ask("PGHOST", &socket, &[("PGPORT", &port), user]);
    assert!(reached.contains("run ticker install"), "{reached}");
    let text = format!("[mine]\nhost=127.0.0.1\nport={port}\nuser=postgres\n");
    let services = scratch.file("services", &text).display().to_string();
    let reached = ask("PGSERVICEFILE", &services, &[("PGSERVICE", "mine")]);
    assert!(reached.contains("run ticker install"), "{reached}");
}

#[test]
fn without_a_command_there_is_help_and_wrong_calls_are_2() {
    run(&mut trunkline()).code(2).says(&["Usage", "status"]);
    run(trunkline().arg("stauts")).code(2).says(&["status"]);
    run(trunkline().args(["status", "-c", "/nonexistent.toml"]))
        .code(2)
        .says(&["/nonexistent.toml"]);
    run(trunkline().args(["status", "-v", "-q"])).code(2);
    run(trunkline().arg("--help")).ok();
    assert!(
        run(trunkline().arg("--version"))
            .ok()
            .stdout
            .starts_with("trunkline ")
    );
}

#[test]
fn problems_of_a_file_are_told_whichever_daemon_it_is_for() {
    let scratch = Scratch::new();
    let config = scratch.file("x.toml", "[replay]\njob_name = 'a b'\nlog_count = 0\n");
    run(trunkline().arg("status").arg("-c").arg(&config))
        .code(2)
        .says(&[
            "x.toml:2: [replay] job_name",
            "x.toml:3: [replay] log_count",
            "provider_db: is missing",
        ]);
    let config = scratch.file("y.toml", "job_name = 'a'\n");
    run(trunkline().arg("status").env("TRUNKLINE_CONFIG", &config))
        .code(2)
        .says(&["section [ticker] or [replay] is missing"]);
}

#[test]
fn completions_and_manual_pages_are_made() {
    let scratch = Scratch::new();
    for (program, name) in [
        ("trunkline", "trunkline"),
        ("ticker", "trunkline-ticker"),
        ("replay", "trunkline-replay"),
    ] {
        // By the name that it is called by, and without a config.
        let called = scratch.path().join(name);
        std::os::unix::fs::symlink(Programs::get().path(program), &called).unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let said = run(Command::new(&called).args(["completions", shell])).ok();
            assert!(said.stdout.contains(name), "{shell}");
            assert!(said.stdout.contains("status"), "{shell}");
        }
        run(Command::new(&called).arg("man").arg(scratch.path())).ok();
        for page in [format!("{name}.1"), format!("{name}-status.1")] {
            let text = std::fs::read_to_string(scratch.path().join(&page)).unwrap();
            assert!(text.contains(name), "{page}");
        }
    }
    run(trunkline().arg("man").arg("/nonexistent/dir")).code(3);
    // Again, over what is there; and not through a link.
    let page = scratch.path().join("trunkline.1");
    let first = std::fs::read(&page).unwrap();
    run(trunkline().arg("man").arg(scratch.path())).ok();
    assert_eq!(std::fs::read(&page).unwrap(), first);
    let target = scratch.file("precious", "precious");
    std::fs::remove_file(&page).unwrap();
    std::os::unix::fs::symlink(&target, &page).unwrap();
    run(trunkline().arg("man").arg(scratch.path()))
        .code(3)
        .says(&["symbolic link"]);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_watched_status_is_printed_again_until_it_is_stopped() {
    let scratch = Scratch::new();
    let config = scratch.file(
        "t.toml",
        "[ticker]\njob_name = \"t\"\ndb = \"host=/nonexistent dbname=x user=u\"\npidfile = \"/tmp/none.pid\"\n",
    );
    let printed = scratch.file("out", "");
    let mut child = trunkline()
        .arg("-c")
        .arg(&config)
        .args(["status", "--watch", "1"])
        .stdout(std::fs::File::create(&printed).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("three pictures", LIMIT, || {
        let text = std::fs::read_to_string(&printed).unwrap();
        text.matches("ticker t: not running").count() >= 3
    });
    // An unreachable database ends it no more than anything else does.
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    run(trunkline()
        .arg("-c")
        .arg(&config)
        .args(["status", "--watch", "0"]))
    .code(2);

    // Nobody reads it any more.
    let line = format!(
        "{} -c {} status --watch 1",
        trunkline().get_program().display(),
        config.display()
    );
    run(Command::new("bash").args(["-c", &format!("set -o pipefail; {line} | head -n 1")])).ok();
    // On a terminal each picture takes the place of the one before, and Ctrl-C ends it in order.
    let line =
        format!("stty cols 30 rows 10; timeout --foreground --preserve-status -s INT 4 {line}");
    let shown = run(Command::new("script").args(["-qec", &line, "/dev/null"]))
        .ok()
        .stdout;
    assert!(shown.matches("\u{1b}[H").count() >= 2, "{shown:?}");
    assert_eq!(shown.matches("\u{1b}[H\u{1b}[J").count(), 1, "{shown:?}");
    assert!(shown.ends_with("\u{1b}[J\u{1b}[?2026l"), "{shown:?}");
    assert!(
        shown.contains("ticker t: not running on this \u{1b}[K"),
        "{shown:?}"
    );
}
