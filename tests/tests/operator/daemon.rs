//! Starting and stopping a daemon from a shell: exit codes, pid files, signals, and what a
//! terminal or a service manager sees.

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
fn fa_29_term_ends_a_daemon_within_five_seconds_even_if_its_server_hangs() {
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
        .says(&["/no/such/directory does not exist", "install -d -o"]);
    let file = scratch.file("file", "");
    let log = good.replace(scratch.dir("log").to_str().unwrap(), file.to_str().unwrap());
    std::fs::write(&node.config, log).unwrap();
    node.run(&["start", "-d"])
        .code(3)
        .says(&["log file", "Not a directory", "hint"]);
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
fn u1_the_directories_of_log_and_pid_file_are_made_where_that_may_be() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let mut daemons = Daemons(vec![node.clone()]);
    let text = std::fs::read_to_string(&node.config).unwrap();
    let deeper = |file: &str, to: &str| file.replace("%(job_name)s", to);
    std::fs::write(&node.config, deeper(&text, "made/%(job_name)s")).unwrap();
    let mut made = node.clone();
    made.pidfile = scratch.path().join("run/made/t1.pid");
    made.logfile = scratch.path().join("log/made/t1.log");
    daemons.0.push(made.clone());
    made.run(&["start", "-d"]).ok();
    for file in [&made.pidfile, &made.logfile] {
        let directory = file.parent().unwrap();
        let mode = std::fs::metadata(directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} {mode:o}", directory.display());
    }
    made.run(&["stop"]).ok();

    // Both at once, in the command that makes them.
    std::fs::write(&node.config, deeper(&text, "a/b/%(job_name)s")).unwrap();
    let (run, log) = (scratch.dir("run"), scratch.dir("log"));
    let both = format!(
        "install -d -o root {0}/a/b {1}/a/b",
        run.display(),
        log.display()
    );
    if is_root() {
        node.run(&["start"])
            .code(3)
            .says(&["does not exist", &both]);
    }
}

#[test]
fn u13_help_is_a_command_of_all_programs() {
    for program in ["ticker", "replay", "trunkline"] {
        for args in [&["help"][..], &["help", "status"]] {
            let said = run(Command::new(Programs::get().path(program)).args(args)).ok();
            assert!(said.stdout.contains("Usage: "), "{}", said.stdout);
        }
    }
}

#[test]
fn u19_a_config_file_that_is_not_there_is_named_with_what_to_do() {
    for (program, file) in [("ticker", "ticker.toml"), ("replay", "replay.toml")] {
        let path = Programs::get().path(program);
        run(Command::new(path)
            .arg("status")
            .env("TRUNKLINE_CONFIG", format!("/no/{file}")))
        .code(2)
        .says(&[
            &format!("/no/{file}: No such file"),
            "hint",
            "-c FILE",
            "TRUNKLINE_CONFIG",
        ]);
    }
}

/// A process that is ended with the test.
struct Bystander(std::process::Child);

impl Bystander {
    fn new() -> Bystander {
        Bystander(Command::new("sleep").arg("600").spawn().unwrap())
    }

    /// A process of nobody's that has a file locked which names another one.
    fn impostor(pidfile: &std::path::Path, pid: u32) -> Bystander {
        let script = format!(
            "echo {pid} > {0}; exec flock {0} sleep 600",
            pidfile.display()
        );
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        let impostor = Bystander(command.args(["sh", "-c", &script]).spawn().unwrap());
        wait_until("the lock", LIMIT, || {
            std::fs::File::open(pidfile).is_ok_and(|file| file.try_lock_shared().is_err())
        });
        impostor
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // What flock runs has the lock, too.
        for pid in tests::children(self.0.id().cast_signed()) {
            signal(pid, Signal::SIGKILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a7_a_pid_file_of_somebody_else_names_nobody_to_kill() {
    if !is_root() {
        println!("only root can act as another user");
        return;
    }
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    let run_dir = node.pidfile.parent().unwrap();
    std::fs::set_permissions(run_dir, PermissionsExt::from_mode(0o1777)).unwrap();
    let mut bystander = Bystander::new();
    {
        let _impostor = Bystander::impostor(&node.pidfile, bystander.0.id());
        let status = node.run(&["status"]).code(5);
        for why in [
            "not known whether it runs",
            "belongs to user nobody",
            "not believed",
        ] {
            assert!(status.text().contains(why), "{status:?}");
        }
        for command in ["stop", "reload", "restart"] {
            node.run(&[command])
                .code(3)
                .says(&["belongs to user nobody", "not believed"]);
        }
        node.run(&["stop", "--fast"]).code(3);
        // Locked or not, it is no file of ours.
        node.run(&["start", "-d"])
            .code(3)
            .says(&["belongs to user nobody"]);
    }
    node.run(&["start", "-d"])
        .code(3)
        .says(&["belongs to user nobody"]);
    assert!(bystander.is_alive());

    // Our own file, locked by us, names a process that has nothing to do with it.
    std::fs::remove_file(&node.pidfile).unwrap();
    std::fs::write(&node.pidfile, format!("{}\n", bystander.0.id())).unwrap();
    let held = std::fs::File::open(&node.pidfile).unwrap();
    held.lock().unwrap();
    node.run(&["stop"])
        .code(3)
        .says(&["not by process", "not believed"]);
    assert!(bystander.is_alive());
    drop(held);

    // Where everybody may take files away, no pid file means anything.
    std::fs::set_permissions(run_dir, PermissionsExt::from_mode(0o777)).unwrap();
    for command in ["start", "stop"] {
        node.run(&[command])
            .code(3)
            .says(&["every user can remove files"]);
    }
    std::fs::set_permissions(run_dir, PermissionsExt::from_mode(0o755)).unwrap();
    node.run(&["start", "-d"]).ok();
    node.run(&["stop"]).ok();
}

#[test]
fn a7_root_ends_the_daemon_of_another_user_whose_pid_file_names_his_own_process() {
    if !is_root() {
        println!("only root can act as another user");
        return;
    }
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    for file in [&node.pidfile, &node.logfile] {
        std::os::unix::fs::chown(file.parent().unwrap(), Some(65_534), None).unwrap();
    }
    let copy = scratch.path().join("ticker-copy");
    std::fs::copy(Programs::get().path("ticker"), &copy).unwrap();
    run(Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(&copy)
        .arg("-c")
        .arg(&node.config)
        .args(["start", "-d"]))
    .ok();
    let pid = node.running();
    node.run(&["status"]).ok();
    // Where others can make files, it is not root's to begin with.
    node.run(&["start", "-d"])
        .code(3)
        .says(&["belongs to user nobody"]);
    node.run(&["stop"]).ok();
    assert!(!tests::pid_alive(pid));
}

#[test]
fn a7_a_log_that_is_a_link_or_a_pipe_ends_the_start_and_is_not_waited_for() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    let node = installed(&scratch, &cluster);
    let _daemons = Daemons(vec![node.clone()]);
    let target = scratch.file("target", "precious");
    std::os::unix::fs::symlink(&target, &node.logfile).unwrap();
    for args in [&["start", "-d"][..], &["start"]] {
        node.run(args).code(3).says(&["log file", "symbolic link"]);
    }
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    std::fs::remove_file(&node.logfile).unwrap();
    run(Command::new("mkfifo").arg(&node.logfile)).ok();
    node.run(&["start", "-d"])
        .code(3)
        .says(&["log file", "not a plain file"]);
    std::fs::remove_file(&node.logfile).unwrap();

    // A link that is put there under a running daemon: told in the log that is open.
    node.run(&["start", "-d"]).ok();
    let moved = node.logfile.with_extension("moved");
    std::fs::rename(&node.logfile, &moved).unwrap();
    std::os::unix::fs::symlink(&target, &node.logfile).unwrap();
    node.run(&["reload"]).ok();
    wait_until("the refusal in the log", LIMIT, || {
        let log = std::fs::read_to_string(&moved).unwrap();
        log.contains("ERROR t1 log file cannot be opened anew") && log.contains("symbolic link")
    });
    node.run(&["stop"]).ok();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn se_17_a_daemon_leaves_nothing_that_others_can_write() {
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
