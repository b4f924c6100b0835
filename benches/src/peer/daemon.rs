//! A peer's daemon, kept in the foreground as our child, so that it ends with us.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tests::{Scratch, pid_alive};

/// A running process. When it is dropped, it is told to end, and killed if it does not.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts a program in the foreground; its output goes to `NAME.out` of the
    /// scratch directory.
    #[allow(
        clippy::expect_used,
        reason = "a peer that does not start is not measured"
    )]
    pub(crate) fn start(scratch: &Scratch, name: &str, program: &str, args: &[&str]) -> Self {
        let file = scratch.dir("log").join(format!("{name}.out"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(file)
            .expect("open a log");
        let child = Command::new("setpriv")
            // The process is told to end when this program is killed, because destructors do not run then.
            .args(["--pdeathsig", "TERM", program])
            .args(args)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share a log"))
            .stderr(log)
            .spawn()
            .expect("start a daemon");
        Self { child }
    }

    /// The process, if it runs.
    pub(crate) fn pid(&self) -> Option<i32> {
        let pid = i32::try_from(self.child.id()).ok()?;
        pid_alive(pid).then_some(pid)
    }

    /// Ends the process, and waits for its end.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(pid) = self.pid() else {
            let _ = self.child.wait();
            return;
        };
        tests::signal(pid, nix::sys::signal::Signal::SIGTERM);
        let started = Instant::now();
        while pid_alive(pid) && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
