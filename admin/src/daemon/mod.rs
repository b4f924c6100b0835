//! A daemon's life: one per pid file, in the foreground or detached, told to stop by signals.
//!
//! A start has these steps, in this order:
//!
//! 1. Arguments and config, so that a wrong config is exit code 2 before anything else happens.
//! 2. The pid file's lock, so that a second start is exit code 5 at the terminal.
//! 3. The fork, while there is one thread.
//! 4. The log, which has a thread.
//! 5. The runtime.

mod allocator;
mod detach;
mod first_reports;
mod open_files;
mod pidfile;
mod readiness;
mod rests;
mod service;
mod signals;
mod standby;
mod waits;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::DaemonConfig;
use crate::exit::{self, Exit, Failure};
use crate::log::{self, Verbosity};
use crate::own_file;
pub use allocator::keep_no_large_blocks;
use detach::ForkSide;
pub use first_reports::{FirstReports, Reports};
pub use open_files::open_files;
use pidfile::PidFile;
pub use pidfile::is_running;
pub use readiness::Ready;
use readiness::{Answer, ReadyPipe};
pub use rests::Rests;
pub use signals::{Signals, reload, stop, stop_for_restart};
pub use standby::{Turn, take_turn};
pub use waits::{Beat, Server, watch};

/// Threads of the runtime. The work is mostly waiting for databases, so a few threads serve many databases.
const WORKER_THREADS: usize = 4;

/// After `stop_now` a body has this long to return; then the process ends without it. Together with the three seconds
/// before `stop_now`, TERM ends a daemon within five seconds whatever hangs.
const LAST_CHANCE: Duration = Duration::from_millis(1500);

/// What a daemon does between its start and its end; made by [`start`]'s caller.
pub type Body = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;

/// Runs a daemon to its end, or, with `detach`, leaves it running and returns in the parent.
///
/// Makes the directories of the daemon's files where it may, takes the pid file's lock, forks, opens the log, builds
/// the runtime, runs what `body` makes, and removes the pid file. In the foreground, and in the detached child, it
/// returns when the body has ended: [`Exit::Done`], or the body's error, which is logged by then.
///
/// With `detach` the parent waits until the body reports through [`Ready`] (at most 30 s) and returns [`Exit::Done`],
/// whatever the report is. If the child ends before it reports, the parent fails.
///
/// Errors: [`Exit::Running`] if the pid file is locked; [`Exit::Failed`] if pid file, log or
/// runtime cannot be had. Call before any thread is started.
pub fn start<F>(
    config: &DaemonConfig,
    detach: bool,
    verbosity: Verbosity,
    body: F,
) -> Result<Exit, Failure>
where
    F: FnOnce(Ready, Signals) -> Body,
{
    if detach && config.logfile.is_none() {
        return Err(Failure::message(
            Exit::Usage,
            format!("{}: start -d needs a logfile", config.config_file.display()),
        ));
    }
    own_file::make_directories(config)?;
    let pidfile = PidFile::lock(&config.pidfile)?;
    if !detach {
        return run(config, false, verbosity, pidfile, Ready::none(), body);
    }
    let (waiting, answer) = readiness::pipe().context("could not make a pipe")?;
    match detach::fork().context("could not detach")? {
        ForkSide::Parent => {
            drop(answer);
            // The lock stays with the child, which has the same open file.
            pidfile.forget();
            Ok(report(config, &waiting)?)
        }
        ForkSide::Child => {
            drop(waiting);
            let ready = Ready::new(answer);
            let result = run(config, true, verbosity, pidfile, ready.clone(), body);
            if let Err(failure) = &result {
                ready.failed(failure);
            }
            result
        }
    }
}

/// The parent's result for the child's answer.
fn report(config: &DaemonConfig, waiting: &ReadyPipe) -> Result<Exit, Failure> {
    let log = config.logfile.as_deref().unwrap_or(&config.pidfile);
    match waiting.answer() {
        Answer::Ready => Ok(Exit::Done),
        Answer::NotYet(message) => {
            eprint!("{message}");
            Ok(Exit::Done)
        }
        Answer::Failed(code, text) => {
            let failure = Failure::message(code, text.trim_end());
            Err(failure.with_hint(format!("see {}", log.display())))
        }
        Answer::Silence => {
            eprintln!("started, and still not ready; see {}", log.display());
            Ok(Exit::Done)
        }
        Answer::Ended => Err(Failure::message(Exit::Failed, "ended before it was ready")
            .with_hint(format!("see {}", log.display()))),
    }
}

fn run<F>(
    config: &DaemonConfig,
    detached: bool,
    verbosity: Verbosity,
    mut pidfile: PidFile,
    ready: Ready,
    body: F,
) -> Result<Exit, Failure>
where
    F: FnOnce(Ready, Signals) -> Body,
{
    let result = pidfile
        .write_own_pid()
        .and_then(|()| logged(config, detached, verbosity, ready, body));
    pidfile.remove();
    result
}

/// Opens the log, builds the runtime and runs the body in it.
fn logged<F>(
    config: &DaemonConfig,
    detached: bool,
    verbosity: Verbosity,
    ready: Ready,
    body: F,
) -> Result<Exit, Failure>
where
    F: FnOnce(Ready, Signals) -> Body,
{
    let guard = log::start_daemon_log(config, detached, verbosity).map_err(|error| {
        Failure::new(Exit::Failed, error)
            .with_hint("this user must be able to write there, into a plain file of its own")
    })?;
    open_files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let result = runtime.block_on(live(guard.reopen_handle(), ready, body));
    // Tasks that still wait for a database are dropped: a commit that did not return counts as not made.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match &result {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(
            error = exit::one_line(error.as_ref()),
            "stopped by an error"
        ),
    }
    if guard.dropped_lines() > 0 {
        tracing::warn!(
            lines = guard.dropped_lines(),
            "log lines were lost, the disk was too slow"
        );
    }
    drop(guard);
    result.map(|()| Exit::Done).map_err(Failure::from)
}

/// Runs the body, and ends it by force if it does not stop when asked.
async fn live<F>(reopen: Option<log::Reopen>, ready: Ready, body: F) -> anyhow::Result<()>
where
    F: FnOnce(Ready, Signals) -> Body,
{
    let signals = signals::listen(reopen).context("could not listen to signals")?;
    let (stop, stop_now) = (signals.stop.clone(), signals.stop_now.clone());
    let told = async move {
        tokio::select! {
            () = stop.cancelled() => service::stopping(),
            () = service::live() => {}
        }
        // The watchdog waits for the end no less than before it.
        service::live().await;
    };
    let forced = async move {
        stop_now.cancelled().await;
        tokio::time::sleep(LAST_CHANCE).await;
    };
    tracing::info!(
        pid = std::process::id(),
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );
    tokio::select! {
        // In this order, so that the end is told before the body, which hears of it too, has ended.
        biased;
        () = told => Ok(()),
        result = body(ready, signals) => result,
        () = forced => {
            tracing::warn!("did not stop in time, ending without waiting");
            Ok(())
        }
    }
}
