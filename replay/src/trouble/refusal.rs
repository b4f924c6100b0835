//! Why a subscriber refuses a change, as far as two tries can be compared by it.

use std::mem::Discriminant;

use sql::{name::TableName, subscriber::conflict::Kind};

use super::{TableTrouble, Trouble};

/// Rows that did not do what their change says, on the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAsSaid {
    /// Rows were another way than the change says, and the table is to stop then.
    #[error("{rows} of its rows {} on the subscriber", kind_says(*.kind))]
    Conflict {
        /// How many.
        rows: usize,
        /// How they differ.
        kind: Kind,
    },
    /// Statements did not touch each row once.
    #[error("its statements did not touch each row once")]
    Unruly,
}

fn kind_says(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "are missing",
        Kind::Exists => "are there already",
    }
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server said no: SQLSTATE and constraint.
    Server(String, Option<String>),
    /// The rows are not as the change says.
    Rows(Discriminant<NotAsSaid>),
}

/// The classes of SQLSTATE with which the server refuses a change, and not a definition, a right or the like.
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

    /// Why the subscriber refuses a change; none if what it refuses is no change.
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
