//! Signals, on both sides: what a daemon does on a signal, and the commands that send signals.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pidfile::is_running;
use crate::config::DaemonConfig;
use crate::exit::{Exit, Failure};
use crate::log::Reopen;

/// After TERM or INT the running statement has this long to end.
const GRACE: Duration = Duration::from_secs(3);

/// How long a restart waits for the daemon's end. TERM ends a daemon within five seconds whatever hangs, so more time
/// means that something is wrong.
const RESTART_PATIENCE: Duration = Duration::from_secs(30);

/// What signals ask the daemon to do.
#[derive(Debug, Clone)]
pub struct Signals {
    /// TERM or INT came: finish the running statement, begin nothing new.
    pub stop: CancellationToken,
    /// QUIT or a second TERM or INT came, or three seconds have passed since the first: cancel what runs, return at
    /// once. The process ends a second and a half later in any case. Implies `stop`.
    pub stop_now: CancellationToken,
    /// Grows with each HUP: read the config again. (The log has been reopened before the number grows.)
    pub reload: watch::Receiver<u64>,
}

/// Listens from now on; the task lives as long as the runtime.
pub(super) fn listen(reopen: Option<Reopen>) -> io::Result<Signals> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hup = signal(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let stop_now = CancellationToken::new();
    let (reloads, reload) = watch::channel(0);
    let signals = Signals {
        stop: stop.clone(),
        stop_now: stop_now.clone(),
        reload,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "signals are heard as long as the runtime lives"
    )]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = quit.recv() => {
                    tracing::info!(signal = "QUIT", "stopping at once");
                    stop.cancel();
                    stop_now.cancel();
                }
                _ = term.recv() => ask_to_stop("TERM", &stop, &stop_now),
                _ = int.recv() => ask_to_stop("INT", &stop, &stop_now),
                _ = hup.recv() => {
                    if let Some(reopen) = &reopen {
                        reopen.request();
                    }
                    reloads.send_modify(|count| *count += 1);
                }
            }
        }
    });
    Ok(signals)
}

fn ask_to_stop(name: &'static str, stop: &CancellationToken, stop_now: &CancellationToken) {
    if stop.is_cancelled() {
        // A second signal means that the operator is in a hurry.
        stop_now.cancel();
        return;
    }
    tracing::info!(signal = name, "stopping");
    stop.cancel();
    let stop_now = stop_now.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "the time that is given for stopping runs out, or the runtime ends before"
    )]
    tokio::spawn(async move {
        tokio::time::sleep(GRACE).await;
        stop_now.cancel();
    });
}

/// Stops the daemon of this config and waits until its process has ended, as long as that takes; `fast` cancels the
/// daemon's statements at once.
///
/// Errors: [`Exit::Running`] if no daemon runs, [`Exit::Failed`] if this user may not stop the daemon.
pub fn stop(config: &DaemonConfig, fast: bool) -> Result<Exit, Failure> {
    stop_within(config, fast, None)
}

/// Stops the daemon of this config if it runs, so that it can be started again.
///
/// Errors: [`Exit::TimedOut`] if the daemon does not end, [`Exit::Failed`] if this user may not stop the daemon.
pub fn stop_for_restart(config: &DaemonConfig) -> Result<(), Failure> {
    match stop_within(config, false, Some(RESTART_PATIENCE)) {
        Err(failure) if failure.exit != Exit::Running => Err(failure),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn stop_within(
    config: &DaemonConfig,
    fast: bool,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let pid = running(config)?;
    let started = Instant::now();
    send(
        pid,
        if fast {
            Signal::SIGQUIT
        } else {
            Signal::SIGTERM
        },
    )?;
    while is_running(config)? == Some(pid) || is_alive(pid) {
        if timeout.is_some_and(|limit| started.elapsed() >= limit) {
            return Err(Failure::message(
                Exit::TimedOut,
                format!("process {pid} has not ended yet"),
            ));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Exit::Done)
}

/// Makes the daemon of this config read its file again and reopen its log.
///
/// Errors: [`Exit::Running`] if no daemon runs, [`Exit::Failed`] if this user may not signal the daemon.
pub fn reload(config: &DaemonConfig) -> Result<Exit, Failure> {
    send(running(config)?, Signal::SIGHUP)?;
    Ok(Exit::Done)
}

fn running(config: &DaemonConfig) -> Result<Pid, Failure> {
    is_running(config)?.ok_or_else(|| {
        Failure::message(
            Exit::Running,
            format!("not running ({})", config.pidfile.display()),
        )
    })
}

fn send(pid: Pid, signal: Signal) -> Result<(), Failure> {
    match signal::kill(pid, signal) {
        // The process ended in this very moment: a stop has what it wants, and a reload has no daemon to reload.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Failure::message(
            Exit::Failed,
            format!("could not signal process {pid}: {}", errno.desc()),
        )),
    }
}

/// Whether the process still runs. A zombie, which has ended and waits for its parent to reap it (for ever in a
/// container without an init), does not run.
fn is_alive(pid: Pid) -> bool {
    if signal::kill(pid, None).is_err() {
        return false;
    }
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    match state.as_deref().map(|text| text.rsplit_once(") ")) {
        Ok(Some((_, rest))) => !rest.starts_with(['Z', 'X']),
        Ok(None) | Err(_) => false,
    }
}
