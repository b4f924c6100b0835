//! The log of a running daemon: its lines, its rotation, its reopening, and scripts that watch it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::{Cluster, Daemons, Node, Scratch, signal, wait_until};

const LIMIT: Duration = Duration::from_secs(120);

/// A ticker with further lines in its config.
fn ticker(scratch: &Scratch, conninfo: &str, lines: &str) -> Node {
    let text = format!(
        "[ticker]\njob_name = \"t1\"\ndb = \"{conninfo}\"\nqueues = [\"q1\"]\nstats_period = 0.1\n\
         logfile = \"{0}/%(job_name)s.log\"\npidfile = \"{1}/%(job_name)s.pid\"\n{lines}",
        scratch.dir("log").display(),
        scratch.dir("run").display(),
    );
    let config = scratch.file("ticker.toml", &text);
    Node::new("ticker", scratch, &config, "t1")
}

fn numbered(node: &Node, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}", node.logfile.display()))
}

#[test]
fn a_full_log_is_rotated_and_the_oldest_goes() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = ticker(
        &scratch,
        &cluster.conninfo("postgres"),
        "log_size = \"4 kB\"\nlog_count = 2\n",
    );
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    wait_until("two rotations", LIMIT, || numbered(&node, 2).exists());
    let inode = |path: &Path| {
        std::fs::metadata(path)
            .map(|data| std::os::unix::fs::MetadataExt::ino(&data))
            .ok()
    };
    let oldest = inode(&numbered(&node, 2));
    wait_until("the oldest to go", LIMIT, || {
        inode(&numbered(&node, 2)) != oldest
    });
    // While it runs a file may just have another name.
    node.run(&["stop"]).ok();
    assert!(!numbered(&node, 3).exists());
    for path in [node.logfile.clone(), numbered(&node, 1)] {
        let data = std::fs::metadata(&path).unwrap();
        assert!(data.len() <= 4096, "{} bytes", data.len());
        assert_eq!(data.permissions().mode() & 0o007, 0);
    }
}

#[test]
fn each_line_is_time_level_job_message_and_facts() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = ticker(&scratch, &cluster.conninfo("postgres"), "");
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    wait_until("a stats line", LIMIT, || node.log().contains(" stats "));
    node.run(&["stop"]).ok();
    let log = node.log();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0].len(), "2026-01-01T00:00:00.123Z".len(), "{line}");
        assert!(
            words[0].ends_with('Z') && &words[0][10..11] == "T",
            "{line}"
        );
        assert!(
            ["INFO", "WARN", "ERROR", "DEBUG"].contains(&words[1]),
            "{line}"
        );
        assert_eq!(words[2], "t1", "{line}");
    }
    assert!(
        log.lines()
            .next()
            .unwrap()
            .contains(" INFO t1 started pid="),
        "{log}"
    );
    assert!(
        log.lines().last().unwrap().ends_with(" INFO t1 stopped"),
        "{log}"
    );
}

#[test]
fn json_lines_are_objects() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let lines = "log_format = \"json\"\n";
    let node = ticker(&scratch, &cluster.conninfo("postgres"), lines);
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    wait_until("a stats line", LIMIT, || node.log().contains("\"stats\""));
    node.run(&["stop", "--fast"]).ok();
    for line in node.log().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["time", "level", "job_name", "message"] {
            assert!(object[key].is_string(), "{line}");
        }
    }
}

#[test]
fn fa_29_hup_reopens_the_log_and_refuses_a_bad_config() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = ticker(&scratch, &cluster.conninfo("postgres"), "");
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["install"]).ok();
    node.run(&["start", "-d"]).ok();
    let pid = node.running();
    let moved = scratch.path().join("moved.log");
    std::fs::rename(&node.logfile, &moved).unwrap();
    node.run(&["reload"]).ok();
    wait_until("a new log", LIMIT, || {
        node.log().contains("config read again")
    });
    let good = std::fs::read_to_string(&node.config).unwrap();
    std::fs::write(
        &node.config,
        good.replace("stats_period = 0.1", "stats_period = -1"),
    )
    .unwrap();
    signal(pid, nix::sys::signal::Signal::SIGHUP);
    wait_until("the refusal", LIMIT, || {
        node.log()
            .lines()
            .any(|line| line.contains(" ERROR t1 config is wrong") && line.contains("stats_period"))
    });
    assert_eq!(node.running(), pid);
    std::fs::write(&node.config, good).unwrap();
    node.run(&["stop"]).ok();
}

/// etc/watch-sync.sh as a user runs it; killed if the test ends early.
struct Watch(Child);

impl Watch {
    fn start(log: &Path, command: &[&str]) -> Watch {
        let child = Command::new("sh")
            .arg(script())
            .arg(log)
            .args(command)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Watch(child)
    }

    fn code(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().and_then(|status| status.code())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of long ago, and of after any test.
const OLD: &str = "2026-01-01T00:00:00.123Z INFO r1 all tables in sync tables=3\n";
const IN_SYNC: &str = "2999-01-01T00:00:00.123Z INFO r1 all tables in sync tables=3\n";

#[test]
fn u7_a_line_of_before_the_start_is_no_sync() {
    let scratch = Scratch::new();
    let old = r#"{"time":"2026-01-01T00:00:00.123Z","level":"INFO","job_name":"r1","message":"all tables in sync"}"#;
    let text = format!("{OLD}{old}\n");
    let (log, done) = (scratch.file("r.log", &text), scratch.path().join("done"));
    scratch.file("r.log.1", OLD);
    let touch = ["touch", done.to_str().unwrap()];
    let mut watch = Watch::start(&log, &touch);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!done.exists());
    std::fs::write(&log, text + IN_SYNC).unwrap();
    wait_until("the command", LIMIT, || done.exists());
    wait_until("the script's end", LIMIT, || watch.code() == Some(0));

    // Since a time that was before it.
    std::fs::write(&log, OLD).unwrap();
    let since = |time: &str| {
        let path = log.to_str().unwrap();
        tests::run(
            Command::new("sh")
                .arg(script())
                .args(["--since", time, path, "true"]),
        )
    };
    since("2026-01-01T00:00:00Z").code(0);
    since("yesterday").code(2).says(&["--since yesterday"]);
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/watch-sync.sh")
}

#[test]
fn watch_sync_runs_its_command_once_the_line_is_there() {
    let scratch = Scratch::new();
    let (log, done) = (scratch.file("r.log", "x\n"), scratch.path().join("done"));
    let touch = ["touch", done.to_str().unwrap()];
    let mut watch = Watch::start(&log, &touch);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!done.exists());
    let mut text = std::fs::read_to_string(&log).unwrap();
    // A fact that only quotes the words is no sync.
    text.push_str("2026-01-01T00:00:00.123Z WARN r1 odd table=\"all tables in sync\"\n");
    std::fs::write(&log, &text).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!done.exists());
    std::fs::write(&log, text + IN_SYNC).unwrap();
    wait_until("the command", LIMIT, || done.exists());
    wait_until("the script's end", LIMIT, || watch.code() == Some(0));
}

#[test]
fn watch_sync_survives_rotation_and_a_log_that_is_made_later() {
    let scratch = Scratch::new();
    let (log, done) = (scratch.path().join("r.log"), scratch.path().join("done"));
    let mut watch = Watch::start(&log, &["touch", done.to_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(1200));
    std::fs::write(&log, "2026-01-01T00:00:00.123Z INFO r1 started\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    std::fs::rename(&log, scratch.path().join("r.log.1")).unwrap();
    std::fs::write(&log, "2026-01-01T00:00:00.123Z INFO r1 stats\n").unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    // The line comes at the end of a file that is rotated away before the script looks again.
    let last = std::fs::read_to_string(&log).unwrap() + IN_SYNC;
    std::fs::write(&log, last).unwrap();
    std::fs::rename(&log, scratch.path().join("r.log.1")).unwrap();
    std::fs::write(&log, "2026-01-01T00:00:00.123Z INFO r1 stats\n").unwrap();
    wait_until("the command", LIMIT, || done.exists());
    wait_until("the script's end", LIMIT, || watch.code() == Some(0));
}

#[test]
fn watch_sync_reads_json_and_passes_the_commands_exit_code_on() {
    let scratch = Scratch::new();
    let line = r#"{"time":"2999-01-01T00:00:00.123Z","level":"INFO","job_name":"r1","message":"all tables in sync","tables":3}"#;
    let log = scratch.file("r.log", &format!("{line}\n"));
    let mut watch = Watch::start(&log, &["sh", "-c", "exit 7"]);
    wait_until("the script's end", LIMIT, || watch.code() == Some(7));
    let mut usage = Watch::start(&log, &[]);
    wait_until("the usage", LIMIT, || usage.code() == Some(2));
}
