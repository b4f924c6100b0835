//! Starting and stopping a daemon from a shell: exit codes, pid files, signals, and what a
//! terminal or a service manager sees.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::{
    Cluster, Daemons, Node, Programs, Scratch, is_root, run, shortest_try, signal, wait_until,
};

const LIMIT: Duration = Duration::from_secs(120);

fn write(scratch: &Scratch, conninfo: &str, logfile: bool) -> Node {
    let log = format!(
        "logfile = \"{}/%(job_name)s.log\"\n",
        scratch.dir("log").display()
    );
    let text = format!(
        "[ticker]\njob_name = \"t1\"\ndb = \"{conninfo}\"\nqueues = [\"q1\"]\nretry_delay = 1\n{}\
         pidfile = \"{}/%(job_name)s.pid\"\n",
        if logfile { &log } else { "" },
        scratch.dir("run").display(),
    );
    let config = scratch.file("ticker.toml", &text);
    Node::new("ticker", scratch, &config, "t1")
}

fn installed(scratch: &Scratch, cluster: &Cluster) -> Node {
    let node = write(scratch, &cluster.conninfo("postgres"), true);
    node.run(&["install"]).ok();
    node
}

#[test]
fn start_stop_reload_and_restart_end_with_the_codes_that_scripts_rely_on() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    for command in ["stop", "reload"] {
        node.run(&[command]).code(5).says(&["not running"]);
    }
    node.run(&["start", "-d"]).ok();
    let pid = node.running();
    node.run(&["start", "-d"])
        .code(5)
        .says(&["already running", &pid.to_string()]);
    node.run(&["start"]).code(5);
    assert_eq!(node.running(), pid);
    node.run(&["reload"]).ok();
    node.run(&["restart"]).ok();
    assert_ne!(node.running(), pid);
    let pid = node.running();
    node.run(&["stop"]).ok();
    // Not "soon": when stop returns.
    assert!(!tests::pid_alive(pid));
    assert!(!node.pidfile.exists());
    node.run(&["restart"]).ok();
    node.run(&["stop", "--fast"]).ok();
    tests::assert_clean(&node.logfile, &[]);
}

#[test]
fn a_killed_daemons_pid_file_means_nothing() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["start", "-d"]).ok();
    node.kill9();
    assert!(node.pidfile.exists());
    node.run(&["stop"]).code(5);
    // The number in the file may be another process's by now: it is not touched.
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::write(&node.pidfile, format!("{}\n", bystander.id())).unwrap();
    node.run(&["stop"]).code(5);
    node.run(&["reload"]).code(5);
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    node.run(&["start", "-d"]).ok();
    node.run(&["stop"]).ok();
}

#[test]
fn of_many_starts_at_once_one_wins() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| node.run(&["start", "-d"]).code))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    assert_eq!(
        codes.iter().filter(|code| **code == 0).count(),
        1,
        "{codes:?}"
    );
    assert_eq!(
        codes.iter().filter(|code| **code == 5).count(),
        5,
        "{codes:?}"
    );
    node.run(&["stop"]).ok();
}

#[test]
fn term_ends_a_daemon_within_five_seconds_even_if_its_server_hangs() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    for (which, limit) in [
        (Signal::SIGTERM, 5),
        (Signal::SIGINT, 5),
        (Signal::SIGQUIT, 2),
    ] {
        let limit = Duration::from_secs(limit);
        let shortest = shortest_try(limit, || end_of_a_stuck_daemon(&node, &cluster, which));
        println!("{which}: {shortest:?}");
        assert!(shortest < limit, "{which}: {shortest:?}");
    }
}

/// How long a daemon takes to end whose statement waits for a lock that stays.
fn end_of_a_stuck_daemon(node: &Node, cluster: &Cluster, which: Signal) -> Duration {
    node.run(&["start", "-d"]).ok();
    let pid = node.running();
    // Its next tick waits for this lock.
    let mut blocker = cluster
        .client("psql", "postgres")
        .args([
            "-Xqc",
            "begin; lock pgq.queue in access exclusive mode; select pg_sleep(300)",
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the lock to be in the way", LIMIT, || {
        cluster.psql(
            "postgres",
            "select count(*) from pg_locks where not granted",
        ) != "0"
    });
    let started = Instant::now();
    signal(pid, which);
    wait_until("the end", LIMIT, || !tests::pid_alive(pid));
    let took = started.elapsed();
    blocker.kill().unwrap();
    blocker.wait().unwrap();
    cluster.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(300)%' and pid <> pg_backend_pid()");
    took
}

#[test]
fn in_the_foreground_the_log_goes_to_standard_error_if_it_has_no_file() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    installed(&scratch, &cluster);
    let node = write(&scratch, &cluster.conninfo("postgres"), false);
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["start", "-d"]).code(2).says(&["logfile"]);
    let stderr = scratch.path().join("stderr");
    let mut child = node
        .command(&["start"])
        .stderr(std::fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    wait_until("the first line", LIMIT, || {
        std::fs::read_to_string(&stderr)
            .unwrap()
            .contains(" INFO t1 started")
    });
    signal(node.running(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!node.pidfile.exists());
}

#[test]
fn files_that_cannot_be_made_are_named_with_advice() {
    let scratch = Scratch::new();
    let node = write(&scratch, "host=127.0.0.1 port=1 dbname=x", true);
    let good = std::fs::read_to_string(&node.config).unwrap();
    let no_dir = good.replace("/run/", "/no/such/directory/");
    std::fs::write(&node.config, no_dir).unwrap();
    node.run(&["start", "-d"])
        .code(3)
        .says(&["pid file", "directory does not exist"]);
    std::fs::write(&node.config, good.replace("/log/", "/no/such/directory/")).unwrap();
    node.run(&["start", "-d"])
        .code(3)
        .says(&["log file", "hint"]);
    assert!(!node.pidfile.exists());
    node.run(&["start"]).code(3).says(&["log file", "hint"]);
    std::fs::write(&node.config, &good).unwrap();
    std::fs::write(&node.pidfile, "").unwrap();
    std::fs::set_permissions(&node.pidfile, PermissionsExt::from_mode(0o666)).unwrap();
    node.run(&["start", "-d"])
        .code(3)
        .says(&["written by every user"]);
}

#[test]
fn a_daemon_leaves_nothing_that_others_can_write() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    let program = Programs::get().path("ticker");
    let line = format!(
        "umask 0; exec {} -c {} start -d",
        program.display(),
        node.config.display()
    );
    run(Command::new("sh").args(["-c", &line])).ok();
    for path in [&node.pidfile, &node.logfile] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} {mode:o}", path.display());
    }
    node.run(&["stop"]).ok();
}

#[test]
fn another_users_daemon_is_reported_as_such() {
    if !is_root() {
        println!("only root can start a daemon for another user");
        return;
    }
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    node.run(&["start", "-d"]).ok();
    let copy = scratch.path().join("ticker-copy");
    std::fs::copy(Programs::get().path("ticker"), &copy).unwrap();
    let as_nobody = |command: &str| {
        run(Command::new("runuser")
            .args(["-u", "nobody", "--"])
            .arg(&copy)
            .arg("-c")
            .arg(&node.config)
            .arg(command))
    };
    as_nobody("stop")
        .code(3)
        .says(&["could not signal", "not permitted"]);
    as_nobody("start").code(3).says(&["Permission denied"]);
    node.run(&["stop"]).ok();
}
