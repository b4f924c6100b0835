//! Why a connection could not be made, in one line, and what to do about the cause. Pure.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::tls::{self, TlsError};
use crate::error::{Class, Error, classify};

/// Why no connection could be made: what was tried, with host, port, database, user and cause.
///
/// The text is one line with the causes, so [`std::error::Error::source`] is none; the driver's error is at
/// [`ConnectError::server_error`].
#[derive(Debug)]
pub struct ConnectError {
    dbname: String,
    user: String,
    attempts: Vec<Attempt>,
}

/// One address, or one setting, that failed.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) place: String,
    pub(crate) cause: Cause,
}

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Cause {
    Tls(TlsError),
    Server(tokio_postgres::Error),
    Timeout(Duration),
    Resolve(String),
    WrongServer(&'static str),
    Pool(String),
    /// The connection was made, but the schemas that were asked for may not be used.
    Schemas(Box<Error>),
    /// The connection goes to a pooler, with what is wrong with the pooler.
    Pooler(&'static str),
    /// The connection goes to a pooler that lends a session of the server for one transaction.
    PooledByTransaction,
}

impl ConnectError {
    pub(crate) fn new(dbname: &str, user: &str, attempts: Vec<Attempt>) -> ConnectError {
        ConnectError {
            dbname: dbname.to_owned(),
            user: user.to_owned(),
            attempts,
        }
    }

    /// The driver's error of the last attempt, to be classified by SQLSTATE; none if the attempt did not reach the
    /// server.
    pub fn server_error(&self) -> Option<&tokio_postgres::Error> {
        match &self.attempts.last()?.cause {
            Cause::Server(error) => Some(error),
            Cause::Tls(_)
            | Cause::Timeout(_)
            | Cause::Resolve(_)
            | Cause::WrongServer(_)
            | Cause::Pool(_)
            | Cause::Pooler(_)
            | Cause::PooledByTransaction
            | Cause::Schemas(_) => None,
        }
    }

    /// SQLSTATE of the server's answer; none if the server did not answer with an SQLSTATE.
    pub fn code(&self) -> Option<&SqlState> {
        self.server_error().and_then(tokio_postgres::Error::code)
    }

    /// What an operator can do about the error.
    pub fn hint(&self) -> Option<&str> {
        let cause = &self.attempts.last()?.cause;
        match cause {
            Cause::Server(error) => server_hint(error),
            Cause::Tls(error) => error.hint(),
            Cause::Schemas(error) => error.hint(),
            Cause::Timeout(_) => Some(
                "is a firewall in the way, the server overloaded, or something else than PostgreSQL on this port?",
            ),
            Cause::Pooler(_) => Some("connect to the server itself"),
            Cause::Resolve(_) => Some("is the name right, and known here (getent hosts NAME)?"),
            Cause::WrongServer(_) | Cause::Pool(_) | Cause::PooledByTransaction => None,
        }
    }

    /// What the caller should do about the error, by the last attempt. A failed connection is never a bug of this
    /// program. An operator mends every error that has no SQLSTATE and is no broken line, such as a missing password.
    pub fn class(&self) -> Class {
        match self.attempts.last().map(|last| &last.cause) {
            None | Some(Cause::Tls(_) | Cause::Pool(_) | Cause::PooledByTransaction) => {
                Class::Operator
            }
            Some(
                Cause::Timeout(_) | Cause::Resolve(_) | Cause::WrongServer(_) | Cause::Pooler(_),
            ) => Class::Transient,
            Some(Cause::Schemas(error)) => error.class(),
            Some(Cause::Server(error)) if is_tls(error) => Class::Operator,
            Some(Cause::Server(error)) => match classify(error) {
                Class::Transient => Class::Transient,
                Class::Operator | Class::Bug => Class::Operator,
            },
        }
    }
}

/// The hint for a server that hangs up, or answers in another protocol.
const OTHER_SERVER: &str =
    "is it a PostgreSQL server that listens on this port? If so, its log says why it hung up";

fn server_hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    if let Some(code) = error.code() {
        return match *code {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Some(
                "check user and password (PGPASSFILE or ~/.pgpass, mode 0600) and the server's pg_hba.conf",
            ),
            SqlState::INVALID_CATALOG_NAME => Some("check dbname"),
            SqlState::TOO_MANY_CONNECTIONS => {
                Some("raise max_connections or CONNECTION LIMIT, or end idle sessions")
            }
            _ => None,
        };
    }
    let last = innermost(error);
    // The driver has no code for a missing password. Only the advice depends on the driver's words.
    if last.to_string() == "password missing" {
        return Some("give it in PGPASSFILE or ~/.pgpass (mode 0600, or it is ignored)");
    }
    if last.to_string() == "server does not support TLS" {
        return Some(
            "switch TLS on there (ssl = on in postgresql.conf), or, where the network is trusted, use sslmode=prefer",
        );
    }
    if speaks_otherwise(error) || error.is_closed() {
        return Some(OTHER_SERVER);
    }
    let io = last.downcast_ref::<io::Error>()?;
    if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
        return tls::handshake_hint(tls);
    }
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&io.kind());
    if is(&[io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound]) {
        Some("is the server running there, and listening on this port?")
    } else if is(&[io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof]) {
        Some(OTHER_SERVER)
    } else {
        None
    }
}

/// Whether the answer is no message of the protocol: the driver could not parse it, did not expect it, or missed its
/// end. The driver has no code for this case; only the advice depends on the driver's words.
fn speaks_otherwise(error: &tokio_postgres::Error) -> bool {
    if is_tls(error) {
        return false;
    }
    let last = innermost(error);
    let malformed = last.downcast_ref::<io::Error>().is_some_and(|io| {
        let kind = io.kind();
        kind == io::ErrorKind::InvalidInput || kind == io::ErrorKind::InvalidData
    });
    malformed
        || last.to_string() == "bytes remaining on stream"
        || error
            .to_string()
            .starts_with("unexpected message from server")
}

/// Whether the two sides could not agree on TLS, which a new connection does not mend.
fn is_tls(error: &tokio_postgres::Error) -> bool {
    let io = innermost(error).downcast_ref::<io::Error>();
    io.and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

/// The error at the end of the chain, which names the cause.
fn innermost<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dbname, user) = (&self.dbname, &self.user);
        if let [
            Attempt {
                place,
                cause: cause @ Cause::Schemas(_),
            },
        ] = self.attempts.as_slice()
        {
            return write!(f, "database {dbname} at {place}, as {user}: {cause}");
        }
        write!(f, "could not connect to database {dbname} as {user}")?;
        for (index, attempt) in self.attempts.iter().enumerate() {
            let between = if index == 0 { " at" } else { "; at" };
            write!(f, "{between} {}: {}", attempt.place, attempt.cause)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Tls(error) => error.fmt(f),
            Cause::Server(error) => match error.as_db_error() {
                Some(answer) => {
                    write!(f, "{} ({})", answer.message(), answer.code().code())
                }
                None if speaks_otherwise(error) => {
                    f.write_str("no answer that PostgreSQL would give")
                }
                None if error.source().is_some() => write!(f, "{}", innermost(error)),
                None => error.fmt(f),
            },
            Cause::Timeout(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Cause::Resolve(problem) => f.write_str(problem),
            Cause::WrongServer(wanted) => write!(f, "not {wanted} (target_session_attrs)"),
            Cause::Pool(problem) => f.write_str(problem),
            Cause::Schemas(error) => match error.source() {
                Some(source) => write!(f, "{error}: {source}"),
                None => error.fmt(f),
            },
            Cause::Pooler(problem) => write!(f, "behind {problem}"),
            Cause::PooledByTransaction => f.write_str(
                "this connection is pooled by transaction: connect to the server itself, or pool by session",
            ),
        }
    }
}
