//! Why a subscriber refuses a change, reduced to what is the same in two tries of the same change.

use std::mem::Discriminant;

use sql::{name::TableName, subscriber::conflict::ConflictKind};

use super::{TableTrouble, Trouble};

/// Rows that differ from what their change says, or that the job's condition leaves to others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAsSaid {
    /// Rows differed from what the change says, and the table must stop then.
    #[error("{rows} of its rows {} on the subscriber", kind_says(*.kind))]
    Conflict {
        /// How many rows.
        rows: usize,
        /// How the rows differ.
        kind: ConflictKind,
    },
    /// Statements did not touch each row once.
    #[error("its statements did not touch each row once")]
    Unruly,
    /// A row that is not the job's, since other jobs write the subscriber's table, too.
    #[error("--merge says {merge}, and a row of the provider is not so")]
    Outside {
        /// The condition on the job's rows.
        merge: String,
    },
}

fn kind_says(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Missing => "are missing",
        ConflictKind::Exists => "are there already",
    }
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server refused: SQLSTATE and constraint.
    Server(String, Option<String>),
    /// The rows are not as the change says.
    Rows(Discriminant<NotAsSaid>),
}

/// The classes of SQLSTATE with which the server refuses a change, as opposed to a definition, a right or the like.
const REFUSING_CLASSES: [&str; 7] = [
    "22", // data
    "23", // constraints
    "38", // a function that said no
    "39", // the same, in another way
    "44", // a view's check
    "54", // too large, as for an index
    "P0", // PL/pgSQL that raised an error
];

impl Trouble {
    /// A table whose rows are not as a change says.
    pub(crate) fn not_as_said(table: &TableName, why: NotAsSaid, advice: &str) -> Trouble {
        let doing = "the subscriber's table does not take its rows";
        TableTrouble::new(table, doing, advice, anyhow::Error::new(why)).into()
    }

    /// Why the subscriber refuses a change; none if the trouble is not the refusal of a change.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let Trouble::Table(trouble) = self else {
            return None;
        };
        if let Some(why) = trouble.source.downcast_ref::<NotAsSaid>() {
            return Some(Refusal::Rows(std::mem::discriminant(why)));
        }
        let server = trouble
            .source
            .downcast_ref::<tokio_postgres::Error>()?
            .as_db_error()?;
        let code = server.code().code();
        REFUSING_CLASSES
            .contains(&code.get(..2)?)
            .then(|| Refusal::Server(code.to_owned(), server.constraint().map(str::to_owned)))
    }
}
