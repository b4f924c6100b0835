//! How a program ends: its exit code, and its error printed once, with causes and advice.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use sql::connect::ConnectError;
use tokio_postgres::error::DbError;

use crate::config::ConfigErrors;
use crate::journal;
use crate::terminal::visible;

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// The work was done in part, or differences were found; each was named on standard error.
    Part = 1,
    /// The command line or the config is wrong; nothing was touched.
    Usage = 2,
    /// The database or the daemon refused.
    Failed = 3,
    /// The time was up; the command is safe to repeat.
    TimedOut = 4,
    /// The daemon is running already, or is not running; or another operation runs.
    Running = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, and the exit code.
///
/// `?` makes a failure from any `anyhow::Error`, with [`Exit::Failed`]; [`ConfigErrors`] end with [`Exit::Usage`].
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, with its causes.
    pub error: anyhow::Error,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with its exit code; a message, or an error with causes.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        let error = error.into();
        let hint = hint_of(&error);
        Failure { exit, error, hint }
    }

    /// A failure that is only a message.
    pub fn message(exit: Exit, text: impl std::fmt::Display) -> Failure {
        Failure::new(exit, anyhow::anyhow!("{text}"))
    }

    /// The same failure with advice; an empty text is no advice.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(hint.into()).filter(|hint: &String| !hint.is_empty()),
            ..self
        }
    }

    /// Prints the failure on standard error and gives the exit code.
    pub fn print(&self) -> ExitCode {
        let text = journal::for_stderr(&self.to_text(), tracing::Level::ERROR);
        // Standard error may be closed; then there is no reader to tell.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        self.exit.into()
    }

    /// `error: ...`, each cause once as `  caused by: ...`, then `  hint: ...`.
    pub fn to_text(&self) -> String {
        let links = chain(self.error.as_ref());
        let mut text = String::new();
        for (index, link) in links.iter().enumerate() {
            let head = if index == 0 { "error" } else { "  caused by" };
            let _ = writeln!(text, "{head}: {}", indented(link));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {}", indented(hint));
        }
        text
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let exit = match error.downcast_ref::<ConfigErrors>() {
            Some(_) => Exit::Usage,
            None => Exit::Failed,
        };
        Failure::new(exit, error)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(error: ConfigErrors) -> Failure {
        Failure::new(Exit::Usage, error)
    }
}

impl From<sql::Error> for Failure {
    fn from(error: sql::Error) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        Failure::new(Exit::Failed, error)
    }
}

/// The return value of main: the code of a result, whose failure is printed.
pub fn finish(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => failure.print(),
    }
}

/// The texts of an error and its causes, each once. A cause that only repeats a part of the text before it is left out,
/// and so is the driver's "db error", which says nothing.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    texts(error, server_text)
}

fn texts(error: &(dyn Error + 'static), of_server: fn(&DbError) -> String) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut link = Some(error);
    while let Some(error) = link {
        let text = match error.downcast_ref::<DbError>() {
            Some(answer) => of_server(answer),
            None => error.to_string(),
        };
        let repeats = texts.last().is_some_and(|last| last.contains(&text));
        if !repeats && text != "db error" {
            texts.push(text);
        }
        link = error.source();
    }
    texts
}

/// An error on one line, for a log: as [`one_line`], but of an error about a refused value only the server's message.
/// What the server says beside the message is mostly the row itself.
pub fn log_line(error: &(dyn Error + 'static)) -> String {
    texts(error, without_rows).join(": ").replace('\n', "; ")
}

fn without_rows(answer: &DbError) -> String {
    match answer.code().code().get(..2) {
        // Errors of data and of constraints.
        Some("22" | "23") => format!("{} ({})", answer.message(), answer.code().code()),
        Some(_) | None => server_text(answer),
    }
}

/// An error on one line: the chain joined by colons.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    chain(error).join(": ").replace('\n', "; ")
}

fn server_text(answer: &DbError) -> String {
    let mut text = format!("{} ({})", answer.message(), answer.code().code());
    if let Some(detail) = answer.detail() {
        let _ = write!(text, "\n{detail}");
    }
    if let Some(place) = answer.where_() {
        let _ = write!(text, "\nin {place}");
    }
    text
}

/// What an operator can do about an error: the hint of the connection or of the server in its chain.
pub fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|link| {
        let connect = link.downcast_ref::<ConnectError>();
        let ours = link.downcast_ref::<sql::Error>();
        let server = link.downcast_ref::<DbError>();
        let config = link.downcast_ref::<ConfigErrors>();
        connect
            .and_then(ConnectError::hint)
            .or_else(|| ours.and_then(sql::Error::hint))
            .or_else(|| server.and_then(DbError::hint))
            .or_else(|| config.and_then(ConfigErrors::hint))
            .map(str::to_owned)
    })
}

/// A text whose further lines are indented below the first.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines.join("\n    ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn no_advice_is_no_line() {
        let failure = Failure::message(Exit::Failed, "no".to_owned()).with_hint("");
        assert_eq!(failure.to_text(), "error: no\n");
    }

    #[test]
    fn each_cause_is_printed_once() {
        let error = anyhow::anyhow!("disk full")
            .context("writing x: disk full")
            .context("copying");
        let failure = Failure::from(error).with_hint("make room");
        assert_eq!(
            failure.to_text(),
            "error: copying\n  caused by: writing x: disk full\n  hint: make room\n"
        );
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn an_error_cannot_draw_on_the_terminal() {
        let error: anyhow::Result<()> = Err(anyhow::anyhow!("a\u{1b}[31mb")).context("x");
        let text = Failure::from(error.unwrap_err()).to_text();
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_wrong_config_is_a_usage_error_through_any_context() {
        let errors = ConfigErrors {
            file: "f".into(),
            problems: Vec::new(),
        };
        let error = anyhow::Error::new(errors).context("reading");
        assert_eq!(Failure::from(error).exit, Exit::Usage);
    }
}
