//! What can stop a database's loop, and how loudly to say it.

use admin::exit::one_line;
use sql::Class;
use sql::connect::ConnectError;

/// Why a database is not ticked right now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection.
    // Not transparent: that would hide the error itself among the causes, and its hint with it.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// A statement failed, or the connection broke.
    #[error("{0}")]
    Sql(#[from] sql::Error),
    /// Connected, but there is no queue.
    #[error("schema pgq is not installed in this database: run 'ticker install'")]
    NotInstalled,
}

impl Trouble {
    /// Whether it goes away by itself.
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

/// Logs a trouble of a database: ERROR where a person must act, WARN where time will do.
pub(crate) fn log_database(database: &str, class: Class, error: &str, message: &'static str) {
    match class {
        Class::Transient => tracing::warn!(database, error, "{message}"),
        Class::Operator | Class::Bug => tracing::error!(database, error, "{message}"),
    }
}
