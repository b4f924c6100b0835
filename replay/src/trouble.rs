//! What stops replay, and for how long: the one error type of the daemon's loops.

use sql::{
    Class, classify,
    connect::{ConnectError, NoSession, PoolError},
    name::TableName,
    queue::tick::TickId,
    subscriber::conflict::Kind,
};

use tokio_postgres::error::SqlState;

use crate::queue::track::OffTrack;

/// Something that ends a loop's turn. What it is for decides who handles it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Goes away by itself, or with a new connection: back off and go on.
    #[error("{doing}")]
    Passing {
        /// What was being done, as "could not ...".
        doing: String,
        /// What an operator can do, where it may not go away by itself: the server lacks something.
        advice: Option<String>,
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
            let (class, advice, lacks) = (classify(&error), advice(&error), lacks(&error));
            let source = anyhow::Error::new(error);
            match class {
                Class::Transient => Trouble::Passing {
                    doing,
                    advice: lacks.then_some(advice),
                    source,
                },
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
        self.sqlstate() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
    }

    /// Whether the server has no memory left, or no room in its table of locks: a smaller transaction may need less.
    pub(crate) fn is_of_memory(&self) -> bool {
        self.sqlstate() == Some(&SqlState::OUT_OF_MEMORY)
    }

    /// The SQLSTATE that the server gave, if it was the server that said no.
    pub(crate) fn sqlstate(&self) -> Option<&SqlState> {
        let (Trouble::Passing { source, .. }
        | Trouble::Table { source, .. }
        | Trouble::Operator { source, .. }) = self
        else {
            return None;
        };
        source.downcast_ref::<tokio_postgres::Error>()?.code()
    }

    /// Something that goes away by itself, or with a new connection.
    pub(crate) fn passing(doing: impl Into<String>, source: anyhow::Error) -> Trouble {
        Trouble::Passing {
            doing: doing.into(),
            advice: None,
            source,
        }
    }

    /// A task of ours that ended by a panic.
    pub(crate) fn broken_off(doing: &str) -> impl FnOnce(tokio::task::JoinError) -> Trouble {
        move |error| Trouble::passing(doing, anyhow::Error::new(error))
    }

    /// Wraps a database error that one table's rows or definition may be the reason of.
    pub(crate) fn at_table(
        table: &TableName,
        doing: impl Into<String>,
    ) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
        let (table, doing) = (table.clone(), doing.into());
        move |error| {
            let (class, advice, lacks) = (classify(&error), advice(&error), lacks(&error));
            let source = anyhow::Error::new(error);
            match class {
                Class::Transient => Trouble::Passing {
                    doing: format!("table {table}: {doing}"),
                    advice: lacks.then_some(advice),
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

    /// Wraps a failed connection: a server that is away comes back, a wrong password stays wrong.
    pub(crate) fn connect(node: &str) -> impl FnOnce(ConnectError) -> Trouble {
        let doing = format!("could not connect to the {node}");
        move |error| not_connected(doing, error)
    }

    /// Wraps a failed connection of a pool.
    pub(crate) fn pool(node: &str) -> impl FnOnce(NoSession) -> Trouble {
        let doing = format!("could not connect to the {node} for a copy");
        move |error| match error {
            NoSession::Backend(PoolError::Connect(error)) => not_connected(doing, error),
            NoSession::Backend(PoolError::Reset(error)) => Trouble::database(doing)(error),
            other @ (NoSession::Timeout(_)
            | NoSession::Closed
            | NoSession::NoRuntimeSpecified
            | NoSession::PostCreateHook(_)) => Trouble::passing(doing, anyhow::Error::new(other)),
        }
    }

    /// A table that cannot go on until somebody acts: what was being done, why that does not go, and what to do.
    pub(crate) fn table(
        table: &TableName,
        doing: &str,
        why: String,
        advice: impl Into<String>,
    ) -> Trouble {
        Trouble::Table {
            table: table.clone(),
            doing: doing.into(),
            advice: advice.into(),
            source: anyhow::anyhow!(why),
        }
    }

    /// A table whose definition on the subscriber does not take its rows.
    pub(crate) fn misfit(table: &TableName, why: String, advice: impl Into<String>) -> Trouble {
        let doing = "the subscriber's table does not take its rows";
        Trouble::table(table, doing, why, advice)
    }

    /// A table whose changes the provider does not give any more, or gives in a form that cannot be followed.
    pub(crate) fn unfollowable(
        table: &TableName,
        why: String,
        advice: impl Into<String>,
    ) -> Trouble {
        Trouble::table(
            table,
            "the provider's table cannot be followed",
            why,
            advice,
        )
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
        Trouble::sql("the provider's queue said no")(error)
    }

    /// Wraps an error of package `sql` by its class.
    pub(crate) fn sql(doing: &str) -> impl FnOnce(sql::Error) -> Trouble {
        let doing = doing.to_owned();
        move |error| {
            let class = error.class();
            let source = anyhow::Error::new(error);
            match class {
                Class::Transient => Trouble::passing(doing, source),
                Class::Operator | Class::Bug => Trouble::Operator {
                    doing,
                    advice: "end the cause; it is tried again by itself".into(),
                    source,
                },
            }
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
            Trouble::Passing { advice, .. } => advice.as_deref(),
            Trouble::Stale => None,
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

fn not_connected(doing: String, error: ConnectError) -> Trouble {
    let class = error.class();
    let advice = error
        .hint()
        .unwrap_or("put the connection string right, or what it names")
        .to_owned();
    let source = anyhow::Error::new(error);
    match class {
        Class::Transient => Trouble::passing(doing, source),
        Class::Operator | Class::Bug => Trouble::Operator {
            doing,
            advice,
            source,
        },
    }
}

/// Whether the server lacks something that only a person gives it: room, memory, connections.
fn lacks(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(SqlState::code);
    code.is_some_and(|code| code.starts_with("53"))
}

/// Advice by SQLSTATE; the server's hint where it gives one.
fn advice(error: &tokio_postgres::Error) -> String {
    let Some(server) = error.as_db_error() else {
        return "this is a bug of this program: report it, with the log".into();
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
        "53100" => "make room on the server's disk: it goes on by itself then",
        "53200" => "raise max_locks_per_transaction, or give the server more memory",
        "53300" => "raise max_connections, or end idle sessions",
        _ => "end the cause; it is tried again by itself",
    }
    .into()
}
