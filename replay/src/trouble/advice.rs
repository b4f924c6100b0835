//! What an operator can do about a server's error, by its SQLSTATE.

use tokio_postgres::{Error, error::SqlState};

/// Whether the server lacks something that only a person can provide: disk space, memory, connections.
pub(super) fn lacks(error: &Error) -> bool {
    let code = error.code().map(SqlState::code);
    code.is_some_and(|code| code.starts_with("53"))
}

/// What an operator can do about the error; the server's own hint if it gives one.
pub(super) fn advice(error: &Error) -> String {
    let Some(server) = error.as_db_error() else {
        return "this is a bug of this program: report it, with the log".into();
    };
    if let Some(hint) = server.hint() {
        return hint.to_owned();
    }
    match *server.code() {
        SqlState::UNDEFINED_TABLE => {
            "create the table on the subscriber, or remove it from the job"
        }
        SqlState::UNDEFINED_COLUMN => "add the column on the subscriber",
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "grant the missing right to replay's role on the subscriber"
        }
        SqlState::UNIQUE_VIOLATION | SqlState::EXCLUSION_VIOLATION => {
            "find the row in the way on the subscriber, or drop the constraint"
        }
        SqlState::NOT_NULL_VIOLATION
        | SqlState::FOREIGN_KEY_VIOLATION
        | SqlState::CHECK_VIOLATION => {
            "the subscriber's table is stricter than the provider's: change its constraint"
        }
        SqlState::INVALID_TEXT_REPRESENTATION
        | SqlState::DATATYPE_MISMATCH
        | SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        | SqlState::STRING_DATA_RIGHT_TRUNCATION => {
            "the subscriber's column has a type that does not take the value: change its type"
        }
        SqlState::DISK_FULL => "make room on the server's disk: it goes on by itself then",
        SqlState::OUT_OF_MEMORY => {
            "raise max_locks_per_transaction, or give the server more memory"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "raise max_connections or CONNECTION LIMIT, or end idle sessions"
        }
        _ => "end the cause; it is tried again by itself",
    }
    .into()
}
