//! Logs: one line an event, to a file that rotates by size and count, or to standard error.
//!
//! A text line is: time in RFC 3339 with milliseconds, level, `job_name`, a constant lower-case
//! message, then `key=value` facts. Whatever a value holds, it cannot end its line or look like
//! another field (see [`mod@line`]).
//!
//! Where a daemon logs:
//!
//! - detached: to its file only;
//! - in the foreground with a `logfile`: to that file, and to standard error too if that is a terminal (a person
//!   watches);
//! - in the foreground without a `logfile`: to standard error (a service manager watches). Where that is the journal,
//!   each line begins with its priority, which the journal takes off.

pub mod line;
mod once;
mod rotate;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{DaemonConfig, LogFormat};
use crate::journal;
use line::{Fields, Head};
pub use once::Once;
pub use rotate::Reopen;
use rotate::RotatingFile;

/// Lines that may wait for a slow disk. Further lines are dropped and counted, because the work must not wait for its
/// log.
const WAITING_LINES: usize = 16_384;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What an operator wants to know.
    Normal,
    /// What a developer wants to know.
    Verbose,
    /// Everything, libraries included.
    Everything,
}

/// Keeps the log going; when the guard is dropped, the waiting lines are written.
pub struct LogGuard {
    _workers: Vec<WorkerGuard>,
    reopen: Option<Reopen>,
    dropped: Vec<ErrorCounter>,
}

impl LogGuard {
    /// A handle that makes the log file be opened anew before its next line, as logrotate wants.
    pub fn reopen_handle(&self) -> Option<Reopen> {
        self.reopen.clone()
    }

    /// Lines lost to a full queue since the start.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.iter().map(ErrorCounter::dropped_lines).sum()
    }
}

/// Starts a daemon's log. Call after the fork: the log has a thread of its own.
///
/// Errors: the log file cannot be opened.
pub fn start_daemon_log(
    config: &DaemonConfig,
    detached: bool,
    verbosity: Verbosity,
) -> Result<LogGuard, LogError> {
    let mut guard = LogGuard {
        _workers: Vec::new(),
        reopen: None,
        dropped: Vec::new(),
    };
    let mut outputs = Vec::new();
    if let Some(path) = &config.logfile {
        let file = RotatingFile::open(path, config.log_size, config.log_count)
            .map_err(|error| LogError::new(path, error))?;
        guard.reopen = Some(file.reopen_handle());
        outputs.push(Output::plain(queued(file, &mut guard)));
    }
    if !detached && (config.logfile.is_none() || io::stderr().is_terminal()) {
        outputs.push(Output {
            is_journal: journal::is_journal(io::stderr()),
            ..Output::plain(queued(io::stderr(), &mut guard))
        });
    }
    install(JobLayer {
        job_name: config.job_name.clone(),
        format: config.log_format,
        verbosity,
        outputs,
    });
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(place, "panic, please report this bug");
    }));
    Ok(guard)
}

/// The log of a command that is no daemon: warnings, or more with `-v`, on standard error.
pub fn start_command_log(program: &str, verbosity: Verbosity) -> LogGuard {
    let mut guard = LogGuard {
        _workers: Vec::new(),
        reopen: None,
        dropped: Vec::new(),
    };
    let outputs = vec![Output::plain(queued(io::stderr(), &mut guard))];
    let verbosity = match verbosity {
        // A command prints what it does; its log is for the unexpected.
        Verbosity::Quiet | Verbosity::Normal => Verbosity::Quiet,
        Verbosity::Verbose => Verbosity::Verbose,
        Verbosity::Everything => Verbosity::Everything,
    };
    install(JobLayer {
        job_name: program.to_owned(),
        format: LogFormat::Text,
        verbosity,
        outputs,
    });
    guard
}

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("log file {path}: {source}")]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    fn new(path: &Path, source: io::Error) -> LogError {
        LogError {
            path: path.to_owned(),
            source,
        }
    }
}

fn queued(writer: impl Write + Send + 'static, guard: &mut LogGuard) -> NonBlocking {
    let (output, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(writer);
    guard._workers.push(worker);
    guard.dropped.push(output.error_counter());
    output
}

fn install(layer: JobLayer) {
    let subscriber = tracing_subscriber::registry().with(layer);
    // A second call can only come from tests in one process; the first log stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Where lines go.
struct Output {
    lines: NonBlocking,
    /// Whether each line begins with its priority.
    is_journal: bool,
}

impl Output {
    fn plain(lines: NonBlocking) -> Output {
        Output {
            lines,
            is_journal: false,
        }
    }
}

struct JobLayer {
    job_name: String,
    format: LogFormat,
    verbosity: Verbosity,
    outputs: Vec<Output>,
}

impl JobLayer {
    /// Our own packages log at the level asked for. Libraries log only where everything is wanted, since our packages
    /// handle and report what libraries warn about.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        const OURS: [&str; 5] = ["sql", "admin", "ticker", "replay", "trunkline"];
        let target = metadata.target();
        let package = target
            .split_once("::")
            .map_or(target, |(package, _)| package);
        let most = match (self.verbosity, OURS.contains(&package)) {
            (Verbosity::Quiet, true) => Level::WARN,
            (Verbosity::Normal, true) => Level::INFO,
            (Verbosity::Verbose, true) | (Verbosity::Everything, false) => Level::DEBUG,
            (Verbosity::Everything, true) => Level::TRACE,
            (Verbosity::Quiet | Verbosity::Normal | Verbosity::Verbose, false) => return false,
        };
        *metadata.level() <= most
    }
}

impl<S> Layer<S> for JobLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() || self.wants(metadata)
    }

    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id) {
            let mut facts = Fields::default();
            attributes.record(&mut facts);
            span.extensions_mut().insert(facts);
        }
    }

    fn on_record(
        &self,
        id: &tracing::span::Id,
        values: &tracing::span::Record<'_>,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id)
            && let Some(facts) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(facts);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut facts = Fields::default();
        event.record(&mut facts);
        // The spans around the event say which subscriber or table it is about.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                facts.extend(outer);
            }
        }
        let head = Head {
            time: jiff::Timestamp::now(),
            level: *event.metadata().level(),
            job_name: &self.job_name,
        };
        let line = match self.format {
            LogFormat::Text => line::text(&head, &facts),
            LogFormat::Json => line::json(&head, &facts),
        };
        for output in &self.outputs {
            // One write is one line, because the queue holds whole lines.
            let mut lines = output.lines.clone();
            let _ = if output.is_journal {
                lines.write_all(format!("{}{line}", journal::priority(head.level)).as_bytes())
            } else {
                lines.write_all(line.as_bytes())
            };
        }
    }
}
