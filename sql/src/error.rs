//! What can go wrong against a database, and what a caller should do about it. Pure.

use tokio_postgres::error::{DbError, SqlState};

/// An error of this package. Its text says what was being done; its source is the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server, or the connection to it, refused.
    #[error("could not {doing}")]
    Database {
        /// What was being done, as an infinitive with its object: `tick queue db1-queue`.
        doing: String,
        /// What the server or the connection said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A schema that we would create exists already and is not ours.
    #[error("schema {schema} exists already and was not installed by Trunkline")]
    ForeignSchema {
        /// The schema's name.
        schema: String,
    },
    /// The schema belongs to an extension, and the extension's objects are not those of this program.
    #[error(
        "schema {schema} belongs to extension {extension}, whose objects are not changed from here: {advice}"
    )]
    Extension {
        /// The schema.
        schema: String,
        /// The extension's name.
        extension: String,
        /// What the operator must do.
        advice: String,
    },
    /// A schema with one of our names holds objects of a role that may not act as this session's role: their code is
    /// not run.
    #[error("schema {schema} of this database is not used: {what}, who may not act as {session}")]
    Stranger {
        /// The schema.
        schema: String,
        /// The object that is somebody else's, and its owner.
        what: String,
        /// The role that this session logged in as.
        session: String,
    },
    /// A schema that is needed does not exist.
    #[error("schema {schema} is not installed in this database")]
    NotInstalled {
        /// The schema's name.
        schema: &'static str,
    },
    /// The database was installed or upgraded by a newer program.
    #[error(
        "component {component} is at upgrade step {installed}, this program knows up to {known}: use a newer program"
    )]
    NewerInstall {
        /// The component's name.
        component: String,
        /// The step that the database records.
        installed: i32,
        /// The last step in this program.
        known: i32,
    },
    /// The SQL files compiled into the program do not fit each other.
    #[error("built wrong: {0}")]
    Manifest(String),
    /// An impossible answer of the server: too few rows, or a name that is no name.
    #[error("unexpected answer from the server: {0}")]
    Unexpected(String),
}

impl Error {
    /// Wraps a driver error with what was being done, as an infinitive: `tick queue q1`.
    pub fn database(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Database { doing, source }
    }

    /// What the caller should do about the error.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Database { source, .. } => classify(source),
            Self::ForeignSchema { .. }
            | Self::Extension { .. }
            | Self::Stranger { .. }
            | Self::NotInstalled { .. }
            | Self::NewerInstall { .. } => Class::Operator,
            Self::Manifest(_) | Self::Unexpected(_) => Class::Bug,
        }
    }

    /// The server's hint, if the error comes from the server and has a hint.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Database { source, .. } => source.as_db_error()?.hint(),
            Self::Stranger { .. } => Some(
                "connect as the role that it belongs to, have a superuser give it to a role that may act as this one, \
                 or leave this database out",
            ),
            Self::NotInstalled { .. } => {
                Some("run 'ticker install' on a provider, 'replay install' for a subscriber")
            }
            Self::ForeignSchema { .. }
            | Self::Extension { .. }
            | Self::NewerInstall { .. }
            | Self::Manifest(_)
            | Self::Unexpected(_) => None,
        }
    }

    /// The server's answer, if the error comes from the server.
    #[must_use]
    pub fn answer(&self) -> Option<&DbError> {
        self.driver_error()?.as_db_error()
    }

    /// The server's SQLSTATE, if the error comes from the server.
    #[must_use]
    pub fn code(&self) -> Option<&SqlState> {
        self.driver_error()?.code()
    }

    fn driver_error(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Database { source, .. } => Some(source),
            Self::ForeignSchema { .. }
            | Self::Extension { .. }
            | Self::Stranger { .. }
            | Self::NotInstalled { .. }
            | Self::NewerInstall { .. }
            | Self::Manifest(_)
            | Self::Unexpected(_) => None,
        }
    }
}

/// One column of a row; an error, not a panic, when the server sends another type.
pub(crate) fn column<'a, T>(row: &'a tokio_postgres::Row, index: usize) -> Result<T, Error>
where
    T: tokio_postgres::types::FromSql<'a>,
{
    row.try_get(index)
        .map_err(|error| Error::Unexpected(error.to_string()))
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The error goes away by itself: back off, reconnect, go on.
    Transient,
    /// A person must act: stop or park, with advice.
    Operator,
    /// The program is wrong: stop.
    Bug,
}

/// The class of a driver error, by SQLSTATE. An error without SQLSTATE is transient only if the connection is closed or
/// broke, since a new connection may do better. Every other error of the driver itself, such as a column that does not
/// have the type that it is read as, is the same at every try.
#[must_use]
pub fn classify(error: &tokio_postgres::Error) -> Class {
    let Some(state) = error.code() else {
        return if error.is_closed() || is_io(error) {
            Class::Transient
        } else {
            Class::Bug
        };
    };
    match *state {
        // A read-only database: a standby that may be promoted, or a disk guard.
        SqlState::READ_ONLY_SQL_TRANSACTION => return Class::Transient,
        // The database does not exist (yet).
        SqlState::INVALID_CATALOG_NAME => return Class::Transient,
        // A lock timeout or a busy object: try again.
        SqlState::LOCK_NOT_AVAILABLE | SqlState::OBJECT_IN_USE => return Class::Transient,
        _ => {}
    }
    match state.code().get(..2).unwrap_or_default() {
        // 08 connection, 40 serialization and deadlock, 53 resources (of a full disk a person must make room, and what
        // waits goes on by itself then), 57 cancel, shutdown and restart, 58 system.
        "08" | "40" | "53" | "57" | "58" => Class::Transient,
        // 28 authentication, 42 names, rights and syntax, 22/23 data and constraints, 0A not supported,
        // 55 wrong state of an object, 2F/38/39/P0 a function that said no, 44 a view's check.
        "28" | "42" | "22" | "23" | "0A" | "55" | "2F" | "38" | "39" | "P0" | "44" | "3F" => {
            Class::Operator
        }
        _ => Class::Bug,
    }
}

/// Whether reading from or writing to a socket failed.
fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if error.is::<std::io::Error>() {
            return true;
        }
        link = error.source();
    }
    false
}
