//! Commands with captured output, signals, and what /proc says of a process.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::wait_until;

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; 128 + the signal's number for a death by signal, as in sh.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Panics unless the command ended with this code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.code, expected,
            "exit code of `{}`\n--- stdout\n{}--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    /// Panics unless the command ended with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Panics unless standard error names every one of these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stderr.to_lowercase().contains(&word.to_lowercase()),
                "`{}` does not say {word:?} on standard error\n--- stdout\n{}--- stderr\n{}",
                self.command,
                self.stdout,
                self.stderr
            );
        }
        self
    }

    /// Standard output without the white space at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim_end()
    }
}

/// Runs a command to its end, its standard input closed.
///
/// # Panics
///
/// If the command cannot be started, or runs longer than five minutes (it is killed).
pub fn run(command: &mut Command) -> Output {
    run_in(command, Duration::from_secs(300))
}

/// The same as [`run`], with another time limit.
///
/// Output goes through files and not through pipes: a daemon that a command
/// leaves behind may keep a pipe open, and the reader would wait for it.
pub fn run_in(command: &mut Command, limit: Duration) -> Output {
    let line = line_of(command);
    let mut stdout = tempfile::tempfile().expect("make a file for standard output");
    let mut stderr = tempfile::tempfile().expect("make a file for standard error");
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().expect("share a file"))
        .stderr(stderr.try_clone().expect("share a file"))
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run `{line}`: {error}"));
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a command") {
            break status;
        }
        if started.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "`{line}` did not end in {limit:?}\n--- stdout\n{}--- stderr\n{}",
                read_all(&mut stdout),
                read_all(&mut stderr)
            );
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let code = {
        use std::os::unix::process::ExitStatusExt;
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    };
    Output {
        command: line,
        code,
        stdout: read_all(&mut stdout),
        stderr: read_all(&mut stderr),
        took: started.elapsed(),
    }
}

fn read_all(file: &mut std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().expect("rewind");
    file.read_to_end(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line_of(command: &Command) -> String {
    let mut line = Path::new(command.get_program())
        .file_name()
        .unwrap_or_else(|| command.get_program())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args().map(OsStr::to_string_lossy) {
        line.push(' ');
        line.push_str(&arg);
    }
    line
}

/// Sends a signal; `true` if there was such a process.
pub fn signal(pid: i32, which: Signal) -> bool {
    kill(Pid::from_raw(pid), which).is_ok()
}

/// Whether a process with this pid still runs, or holds a file or a lock. A zombie with other threads does: its first
/// thread ended before them.
#[must_use]
pub fn pid_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let threads = fields
                .get(THREADS - STATE)
                .and_then(|text| text.parse().ok());
            !matches!(fields.first(), Some(&("Z" | "X")))
                || threads.is_some_and(|count: u32| count > 1)
        })
    })
}

/// Fields of `/proc/PID/stat`, counted from 1 as in proc(5): the state, the first one behind the name, and the number
/// of threads.
const STATE: usize = 3;
const THREADS: usize = 20;

/// The most memory that a process has ever had resident, in KiB (`VmHWM`).
/// `None`: there is no such process.
#[must_use]
pub fn peak_rss_kb(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The children of a process, as the kernel lists them.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Kills all of these processes with SIGKILL, and returns when none of them runs or holds anything. They may be
/// zombies: the process that inherits an orphan reaps it when it likes, which may take seconds.
pub(crate) fn kill9(pids: &[i32]) {
    for &pid in pids {
        signal(pid, Signal::SIGKILL);
    }
    wait_until(
        "killed processes to be gone",
        Duration::from_secs(120),
        || pids.iter().all(|&pid| !pid_alive(pid)),
    );
}
