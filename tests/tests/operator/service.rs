//! A daemon under a service manager: it says when it is ready, that it lives, and that it ends. logrotate moves its
//! log, the journal gets priorities, and a change of health is told.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Programs, Scratch, run, signal, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the daemon has said each of these words, in this order.
fn heard(socket: &UnixDatagram, words: &[&str]) {
    let mut bytes = [0; 4096];
    for word in words {
        loop {
            let count = socket
                .recv(&mut bytes)
                .unwrap_or_else(|error| panic!("{word}: {error}"));
            let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if said.lines().any(|line| line == *word) {
                break;
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_and_logrotate_takes_the_log_away() {
    let scratch = Scratch::new();
    let (log, pid) = (
        scratch.path().join("log/t.log"),
        scratch.path().join("run/t.pid"),
    );
    let config = format!(
        "[ticker]\njob_name = \"t\"\ndb = \"host=/nonexistent dbname=x user=u\"\npidfile = \"{}\"\nlogfile = \"{}\"\n",
        pid.display(),
        log.display()
    );
    let config = scratch.file("t.toml", &config);
    let path = scratch.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let ticker = Programs::get().path("ticker");
    // The watchdog is for the process that is named.
    let line = format!(
        "WATCHDOG_PID=$$ exec {} -c {} start",
        ticker.display(),
        config.display()
    );
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A database that is away is tried again: the daemon itself is there.
    heard(&socket, &["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);

    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    assert!(lines(&log).contains("started"));
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/logrotate/trunkline"),
    )
    .unwrap();
    let text = text
        .replace(
            "/var/log/trunkline",
            scratch.path().join("log").to_str().unwrap(),
        )
        .replace(
            "/run/trunkline",
            scratch.path().join("run").to_str().unwrap(),
        )
        .replace("    su trunkline trunkline\n", "")
        .replace("0640 trunkline trunkline", "0640");
    let rotate = scratch.file("rotate", &text);
    let state = scratch.path().join("state");
    run(Command::new("logrotate")
        .arg("--force")
        .arg("--state")
        .arg(&state)
        .arg(&rotate))
    .ok();
    let old = scratch.path().join("log/t.log.1");
    wait_until("the log to go on in the new file", LIMIT, || {
        lines(&log).contains("config read again")
    });
    assert!(lines(&old).contains("started") && !lines(&old).contains("config read again"));

    signal(child.id().try_into().unwrap(), Signal::SIGTERM);
    heard(&socket, &["STOPPING=1"]);
    assert!(child.wait().unwrap().success());
}

/// What a daemon without a log file writes to its standard error until its first WARN, which is the end of a pair of
/// sockets, as the journal's stream is. JOURNAL_STREAM is what `named` makes of the stream's device and inode.
fn written(named: impl Fn(&str) -> String) -> String {
    let scratch = Scratch::new();
    let config = format!(
        "[ticker]\njob_name = \"t\"\ndb = \"host=/nonexistent dbname=x user=u password=p\"\npidfile = \"{}\"\n",
        scratch.path().join("t.pid").display()
    );
    let config = scratch.file("t.toml", &config);
    // A password that others can read is warned of before there is a log.
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let stat = nix::sys::stat::fstat(&theirs).unwrap();
    let mut child = Command::new(Programs::get().path("ticker"))
        .arg("-c")
        .arg(&config)
        .arg("start")
        .env(
            "JOURNAL_STREAM",
            named(&format!("{}:{}", stat.st_dev, stat.st_ino)),
        )
        .stdout(Stdio::null())
        .stderr(std::os::fd::OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text
        .lines()
        .any(|line| line.contains(" WARN ") || line.contains(" ERROR "))
    {
        let count = ours.read(&mut bytes).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    signal(child.id().try_into().unwrap(), Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
    text
}

#[test]
fn the_journal_gets_the_priority_of_each_line_and_nobody_else_does() {
    let text = written(str::to_owned);
    let priority = |level: &str| {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("Z {level} t ")));
        line.map(|line| line[..3].to_owned())
    };
    assert_eq!(priority("INFO").as_deref(), Some("<6>"), "{text}");
    assert!(
        priority("WARN").is_none_or(|begin| begin == "<4>")
            && priority("ERROR").is_none_or(|begin| begin == "<3>")
            && text.lines().all(|line| line.starts_with('<'))
            && text.contains("<4>warning: "),
        "{text}"
    );
    // What ends a unit before its log is open has a priority in each line, its hint too.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let stat = nix::sys::stat::fstat(&theirs).unwrap();
    let ended = Command::new(Programs::get().path("ticker"))
        .args(["-c", "/nonexistent/t.toml", "start"])
        .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino))
        .stdout(Stdio::null())
        .stderr(std::os::fd::OwnedFd::from(theirs))
        .status()
        .unwrap();
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(ended.code(), Some(2), "{said}");
    assert!(
        said.starts_with("<3>error: ") && said.lines().all(|line| line.starts_with("<3>")),
        "{said}"
    );
    // Another stream than the one that is named: the variable was inherited.
    let text = written(|stream| format!("{stream}0"));
    assert!(
        text.contains("\nwarning: ") || text.starts_with("warning: "),
        "{text}"
    );
    assert!(!text.lines().any(|line| line.starts_with('<')), "{text}");
}

/// A listener that takes one request and gives its body.
fn hook() -> (u16, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        let mut bytes = [0; 4096];
        while !text.contains("TRUNKLINE UNKNOWN") {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        text
    });
    (port, taken)
}

#[test]
fn a_change_of_health_is_told_by_mail_and_by_a_hook_once() {
    let scratch = Scratch::new();
    let config = scratch.file(
        "t.toml",
        "[ticker]\njob_name = \"t\"\ndb = \"host=/nonexistent dbname=x user=u\"\npidfile = \"/tmp/none.pid\"\n",
    );
    let trunkline = Programs::get().path("trunkline");
    // A file stands for the health: while it is there all is well, else a real check says what is not.
    let well = scratch.file("well", "");
    let check = format!(
        "[ -e {} ] || {} -c {} check",
        well.display(),
        trunkline.display(),
        config.display()
    );
    let sendmail = scratch.file(
        "sendmail",
        "#!/bin/sh\n{ echo \"To: $1, $TRUNKLINE_BEFORE to $TRUNKLINE_LEVEL\"; cat; } >> $2\n",
    );
    let box_of_mails = scratch.path().join("mails");
    let (port, taken) = hook();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/watch-check.sh");
    let watch = |command: &[&str]| {
        Command::new("sh")
            .arg(&script)
            .args(["--every", "0.2", &check])
            .args(command)
            .spawn()
            .unwrap()
    };
    let mut watches = [
        watch(&[
            "sh",
            sendmail.to_str().unwrap(),
            "dba",
            box_of_mails.to_str().unwrap(),
        ]),
        watch(&[
            "curl",
            "-fsS",
            "--max-time",
            "20",
            "-d",
            "@-",
            &format!("http://127.0.0.1:{port}/hook"),
        ]),
    ];
    std::fs::remove_file(&well).unwrap();
    let mails = || std::fs::read_to_string(&box_of_mails).unwrap_or_default();
    wait_until("a mail", LIMIT, || mails().contains("TRUNKLINE UNKNOWN"));
    assert!(taken.join().unwrap().starts_with("POST /hook"));
    std::fs::write(&well, "").unwrap();
    wait_until("a mail that all is well again", LIMIT, || {
        mails().contains("UNKNOWN to OK")
    });
    assert_eq!(
        mails().matches("To: dba, OK to UNKNOWN").count(),
        1,
        "{}",
        mails()
    );
    for watch in &mut watches {
        watch.kill().unwrap();
        watch.wait().unwrap();
    }
    let called = |args: &[&str]| run(Command::new("sh").arg(&script).args(args));
    called(&["trunkline check"]).code(2).says(&["usage"]);
    called(&["--every", "x", "a", "b"])
        .code(2)
        .says(&["number of seconds"]);
}
