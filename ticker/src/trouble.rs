//! What can stop a database's loop, and at which level it is logged.

use admin::exit::one_line;
use sql::Class;
use sql::connect::ConnectError;

/// Why a database is not ticked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection can be made.
    // Not transparent: that would hide the error itself among the causes, and its hint with it.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A statement failed, or the connection broke.
    #[error("{0}")]
    Sql(#[from] sql::Error),
    /// The connection works, but the database has no queue.
    #[error("schema pgq is not installed in this database: run 'ticker install'")]
    NotInstalled,
}

impl Trouble {
    /// Whether the trouble goes away by itself.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Connect(error) => error.class(),
            Self::Sql(error) => error.class(),
            Self::NotInstalled => Class::Operator,
        }
    }

    /// The error with its causes on one line.
    pub(crate) fn text(&self) -> String {
        one_line(self)
    }
}

/// Logs a trouble of a database: ERROR if a person must act, WARN if it passes with time.
pub(crate) fn log_database(database: &str, class: Class, error: &str, message: &'static str) {
    match class {
        Class::Transient => tracing::warn!(database, error, "{message}"),
        Class::Operator | Class::Bug => tracing::error!(database, error, "{message}"),
    }
}
