//! One of the programs with its config file: its commands, its daemon and the daemon's end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Output, kill9, pid_alive, run};
use crate::programs::Programs;
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// One program with its config file, as on a host of its own.
#[derive(Debug, Clone)]
pub struct Node {
    program: &'static str,
    /// The config file.
    pub config: PathBuf,
    /// The daemon's pid file.
    pub pidfile: PathBuf,
    /// The daemon's log.
    pub logfile: PathBuf,
}

impl Node {
    /// A node whose config file names `JOB.pid` and `JOB.log` in `run/` and
    /// `log/` of a scratch directory.
    #[must_use]
    pub fn new(program: &'static str, scratch: &Scratch, config: &Path, job_name: &str) -> Self {
        Self {
            program,
            config: config.to_owned(),
            pidfile: scratch.dir("run").join(format!("{job_name}.pid")),
            logfile: scratch.dir("log").join(format!("{job_name}.log")),
        }
    }

    /// The program with `-c CONFIG` and these arguments, as a command to be changed and run.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Programs::get().path(self.program));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("PG") || name == "TRUNKLINE_CONFIG" {
                command.env_remove(name);
            }
        }
        command.arg("-c").arg(&self.config).args(args);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// The daemon's process id, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(&self.pidfile).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        pid_alive(pid).then_some(pid)
    }

    /// The running daemon's process id.
    ///
    /// # Panics
    ///
    /// If no daemon runs.
    #[track_caller]
    pub fn running(&self) -> i32 {
        self.pid().unwrap_or_else(|| {
            panic!("the daemon does not run; its log:\n{}", self.log());
        })
    }

    /// Kills the daemon with SIGKILL, and waits for its end. Does nothing if no daemon runs.
    pub fn kill9(&self) {
        if let Some(pid) = self.pid() {
            kill9(&[pid]);
        }
    }

    /// The daemon's log; empty if there is none.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.logfile).unwrap_or_default()
    }

    /// Waits until the log holds a text: a line comes after the event that it tells of.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        self.wait_log_from(0, text);
    }

    /// Waits until the log holds a text behind its first `from` bytes, which is the length that it had at some time
    /// before: what an earlier daemon has written does not count.
    #[track_caller]
    pub fn wait_log_from(&self, from: usize, text: &str) {
        let what = format!("the log {} to say {text}", self.logfile.display());
        wait_until(&what, Duration::from_secs(120), || {
            self.log().get(from..).is_some_and(|log| log.contains(text))
        });
    }

    /// `replay wait`, again where no provider has answered in the time that it is given.
    #[track_caller]
    pub fn wait_level(&self) {
        wait_until("a provider to answer", Duration::from_secs(180), || {
            let said = self.run(&["wait", "--timeout", "180"]);
            let is_away = said.stderr.contains("no host can be followed");
            if !is_away {
                said.ok();
            }
            !is_away
        });
    }
}

/// Daemons that a test may have started. When the value is dropped, the daemons are killed, and the ends of their logs
/// are shown if the test failed.
#[derive(Debug, Default)]
pub struct Daemons(pub Vec<Node>);

impl Drop for Daemons {
    fn drop(&mut self) {
        for node in &self.0 {
            if std::thread::panicking() {
                let log = node.log();
                let lines: Vec<&str> = log.lines().collect();
                let tail = &lines[lines.len().saturating_sub(30)..];
                eprintln!("--- end of {}\n{}", node.logfile.display(), tail.join("\n"));
            }
            node.kill9();
        }
    }
}
