//! What stops replay, and for how long: the one error type of the daemon's loops.

use sql::{Class, classify, conflict::Kind, connect::ConnectError, name::TableName, tick::TickId};

use tokio_postgres::error::SqlState;

use crate::source::track::OffTrack;

/// Something that ends a loop's turn. What it is for decides who handles it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Goes away by itself, or with a new connection: back off and go on.
    #[error("{doing}")]
    Passing {
        /// What was being done, as "could not ...".
        doing: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
    /// One table cannot go on; the others can.
    #[error("table {table}: {doing}")]
    Table {
        /// The table, by its name on the provider.
        table: TableName,
        /// What was being done, as "could not ...".
        doing: String,
        /// What an operator can do.
        advice: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
    /// The whole subscriber cannot go on until somebody acts.
    #[error("{doing}")]
    Operator {
        /// What was being done, as "could not ...".
        doing: String,
        /// What an operator can do.
        advice: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
    /// What this loop believed of positions and tables is no longer so: read it again.
    #[error("the subscriber's position or tables were changed by somebody else")]
    Stale,
}

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

/// Why a change is refused, as far as two tries can be compared by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server said no: SQLSTATE and constraint.
    Server(String, Option<String>),
    /// The rows are not as the change says.
    Rows(std::mem::Discriminant<NotAsSaid>),
}

impl Trouble {
    /// Wraps a database error by its class.
    pub(crate) fn database(
        doing: impl Into<String>,
    ) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
        let doing = doing.into();
        move |error| {
            let (class, advice) = (classify(&error), advice(&error));
            let source = anyhow::Error::new(error);
            match class {
                Class::Transient => Trouble::Passing { doing, source },
                Class::Operator | Class::Bug => Trouble::Operator {
                    doing,
                    advice,
                    source,
                },
            }
        }
    }

    /// Whether it is of a statement that the server did not look at, because one before it in the
    /// transaction had failed.
    pub(crate) fn follows_another(&self) -> bool {
        let (Trouble::Passing { source, .. }
        | Trouble::Table { source, .. }
        | Trouble::Operator { source, .. }) = self
        else {
            return false;
        };
        let error = source.downcast_ref::<tokio_postgres::Error>();
        error.and_then(tokio_postgres::Error::code) == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
    }

    /// Wraps a database error that one table's rows or definition may be the reason of.
    pub(crate) fn at_table(
        table: &TableName,
        doing: impl Into<String>,
    ) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
        let (table, doing) = (table.clone(), doing.into());
        move |error| {
            let (class, advice) = (classify(&error), advice(&error));
            let source = anyhow::Error::new(error);
            match class {
                Class::Transient => Trouble::Passing {
                    doing: format!("table {table}: {doing}"),
                    source,
                },
                Class::Operator | Class::Bug => Trouble::Table {
                    table,
                    doing,
                    advice,
                    source,
                },
            }
        }
    }

    /// A table whose rows are not as a change says.
    pub(crate) fn not_as_said(table: &TableName, why: NotAsSaid, advice: &str) -> Trouble {
        Trouble::Table {
            table: table.clone(),
            doing: "the subscriber's table does not take its rows".into(),
            advice: advice.into(),
            source: anyhow::Error::new(why),
        }
    }

    /// Why the subscriber refuses a change; none if it is not a change that it refuses, but a
    /// definition, a right or the like.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let Trouble::Table { source, .. } = self else {
            return None;
        };
        if let Some(why) = source.downcast_ref::<NotAsSaid>() {
            return Some(Refusal::Rows(std::mem::discriminant(why)));
        }
        let server = source
            .downcast_ref::<tokio_postgres::Error>()?
            .as_db_error()?;
        let code = server.code().code();
        // 22 data, 23 constraints, 44 a view's check, 54 too large for an index, 38, 39 and P0 a
        // trigger or function that said no.
        matches!(
            code.get(..2)?,
            "22" | "23" | "38" | "39" | "44" | "54" | "P0"
        )
        .then(|| Refusal::Server(code.to_owned(), server.constraint().map(str::to_owned)))
    }

    /// Wraps a failed connection.
    pub(crate) fn connect(node: &str) -> impl FnOnce(ConnectError) -> Trouble {
        let doing = format!("could not connect to the {node}");
        move |error| Trouble::Passing {
            doing,
            source: anyhow::Error::new(error),
        }
    }

    /// A table whose definition on the subscriber does not take its rows.
    pub(crate) fn misfit(table: &TableName, why: String, advice: impl Into<String>) -> Trouble {
        Trouble::Table {
            table: table.clone(),
            doing: "the subscriber's table does not take its rows".into(),
            advice: advice.into(),
            source: anyhow::anyhow!(why),
        }
    }

    /// Nothing holds the queue for a subscriber, as the queue's error says: it was unregistered, or detached for
    /// holding too much.
    pub(crate) fn no_consumer(consumer: &str, stands: TickId, why: sql::Error) -> Trouble {
        Trouble::Operator {
            doing: format!("the provider has no consumer {consumer} any more"),
            advice: "run `replay install`: it registers the consumer where the subscriber stands, \
                     or says that events are lost"
                .into(),
            source: anyhow::Error::new(why).context(format!(
                "nothing holds the events that follow tick {stands}"
            )),
        }
    }

    /// Wraps an error of the queue's functions by its class.
    pub(crate) fn queue(error: sql::Error) -> Trouble {
        let doing = "the provider's queue said no".to_owned();
        let class = error.class();
        let source = anyhow::Error::new(error);
        match class {
            Class::Transient => Trouble::Passing { doing, source },
            Class::Operator | Class::Bug => Trouble::Operator {
                doing,
                advice: "end the cause; it is tried again by itself".into(),
                source,
            },
        }
    }

    /// The whole chain in one line, as `status` shows it.
    pub(crate) fn chain(&self) -> String {
        admin::exit::one_line(self)
    }

    /// The same for a log, without rows.
    pub(crate) fn log_line(&self) -> String {
        admin::exit::log_line(self)
    }

    /// What an operator can do, if anything.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Trouble::Table { advice, .. } | Trouble::Operator { advice, .. } => Some(advice),
            Trouble::Passing { .. } | Trouble::Stale => None,
        }
    }
}

impl From<OffTrack> for Trouble {
    fn from(off: OffTrack) -> Trouble {
        Trouble::Operator {
            doing: "stopped, nothing was applied".into(),
            advice: off.advice().into(),
            source: anyhow::Error::new(off),
        }
    }
}

/// Advice by SQLSTATE; the server's hint where it gives one.
fn advice(error: &tokio_postgres::Error) -> String {
    let Some(server) = error.as_db_error() else {
        return "see the error".into();
    };
    if let Some(hint) = server.hint() {
        return hint.to_owned();
    }
    match server.code().code() {
        "42P01" => "create the table on the subscriber, or remove it from the job",
        "42703" => "add the column on the subscriber",
        "42501" => "grant the missing right to replay's role on the subscriber",
        "23505" | "23P01" => "find the row in the way on the subscriber, or drop the constraint",
        "23502" | "23503" | "23514" => {
            "the subscriber's table is stricter than the provider's: change its constraint"
        }
        "22P02" | "42804" | "22003" | "22001" => {
            "the subscriber's column has a type that does not take the value: change its type"
        }
        _ => "end the cause; it is tried again by itself",
    }
    .into()
}
