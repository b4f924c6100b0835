//! What stops replay, and for how long: the one error type of the daemon's loops.

mod advice;
mod refusal;
mod table;

use sql::{
    Class, classify,
    connect::{ConnectError, NoSession, PoolError},
    moment::LockTimeout,
    name::TableName,
    queue::tick::TickId,
    subscriber::table_state::Illegal,
};
use tokio_postgres::error::SqlState;

pub(crate) use self::{
    refusal::{NotAsSaid, Refusal},
    table::TableTrouble,
};

use self::advice::{advice, lacks};
use crate::queue::track::OffTrack;

/// Why a database that is a copy applies nothing: it has the position, the consumer and the identity of the node that
/// it was copied from, which may go on.
pub(crate) const IS_COPY: &str =
    "this database is a copy: it was restored elsewhere, or made by pg_upgrade";

/// What to do about it.
pub(crate) const COPY: &str = "if it is the node that it was, and the other one is gone for ever: \
    select trunkline.keep_identity()";

/// An error that ends a loop's turn. The variant decides who handles the error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The error goes away by itself, or with a new connection: back off and go on.
    #[error("{doing}")]
    Passing {
        /// What was being done, as "could not ...".
        doing: String,
        /// What an operator can do if the error may not go away by itself, because the server lacks something.
        advice: Option<String>,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
    /// One table cannot go on; the others can.
    #[error(transparent)]
    Table(Box<TableTrouble>),
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
    /// What this loop believed of positions and tables is not true any more: read them again.
    #[error("the subscriber's position or tables were changed by somebody else")]
    Stale,
}

impl LockTimeout for Trouble {
    fn is_lock_timeout(&self) -> bool {
        self.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }
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

    /// Whether the server refused a statement without running it, because an earlier statement of the transaction had
    /// failed.
    pub(crate) fn follows_another(&self) -> bool {
        self.sqlstate() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
    }

    /// Whether the server has no memory left, or no room in its table of locks: a smaller transaction may need less.
    pub(crate) fn is_of_memory(&self) -> bool {
        self.sqlstate() == Some(&SqlState::OUT_OF_MEMORY)
    }

    /// Whether the position is one in another queue than that of the provider.
    pub(crate) fn is_of_another_queue(&self) -> bool {
        match self {
            Trouble::Operator { source, .. } => source
                .downcast_ref::<OffTrack>()
                .is_some_and(|off| off.is_of_another_queue()),
            Trouble::Passing { .. } | Trouble::Table(_) | Trouble::Stale => false,
        }
    }

    /// The SQLSTATE of the server, if the error comes from the server.
    pub(crate) fn sqlstate(&self) -> Option<&SqlState> {
        let source = match self {
            Trouble::Passing { source, .. } | Trouble::Operator { source, .. } => source,
            Trouble::Table(trouble) => &trouble.source,
            Trouble::Stale => return None,
        };
        source.downcast_ref::<tokio_postgres::Error>()?.code()
    }

    /// An error that goes away by itself, or with a new connection.
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

    /// Wraps a database error that may be caused by one table's rows or definition.
    pub(crate) fn at_table(
        table: &TableName,
        doing: impl Into<String>,
    ) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
        let (table, failed) = (table.clone(), Trouble::database(doing));
        move |error| failed(error).at(&table)
    }

    /// The trouble of an error of package `sql` that may be caused by one table's rows or definition.
    pub(crate) fn of_table(table: &TableName) -> impl FnOnce(sql::Error) -> Trouble {
        move |error| Trouble::from(error).at(table)
    }

    /// Wraps an error of package `sql` that may be caused by one table's rows or definition. `doing` says what was
    /// being done at that table: `doing` stands in place of what the error says of any table.
    pub(crate) fn sql_at_table(
        table: &TableName,
        doing: impl Into<String>,
    ) -> impl FnOnce(sql::Error) -> Trouble {
        let (table, doing) = (table.clone(), doing.into());
        move |error| {
            let failed = if let sql::Error::Database { source, .. } = error {
                Trouble::database(doing)(source)
            } else {
                Trouble::sql(&doing)(error)
            };
            failed.at(&table)
        }
    }

    /// The trouble, of one table alone unless the trouble passes by itself.
    pub(crate) fn at(self, table: &TableName) -> Trouble {
        match self {
            Trouble::Passing {
                doing,
                advice,
                source,
            } => Trouble::Passing {
                doing: format!("table {table}: {doing}"),
                advice,
                source,
            },
            Trouble::Operator {
                doing,
                advice,
                source,
            } => TableTrouble::new(table, doing, advice, source).into(),
            other @ (Trouble::Table(_) | Trouble::Stale) => other,
        }
    }

    /// Wraps a failed connection: an unreachable server comes back, a wrong password stays wrong.
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

    /// A table that cannot go on until somebody acts: what was being done, why that failed, and what to do.
    pub(crate) fn table(
        table: &TableName,
        doing: &str,
        why: String,
        advice: impl Into<String>,
    ) -> Trouble {
        TableTrouble::new(table, doing, advice, anyhow::anyhow!(why)).into()
    }

    /// A table that somebody holds: it waits by itself, and is tried again.
    pub(crate) fn waiting_table(
        table: &TableName,
        doing: &str,
        error: tokio_postgres::Error,
    ) -> Trouble {
        let advice = "end what holds the table, or wait: it is tried again by itself";
        TableTrouble::new(table, doing, advice, anyhow::Error::new(error)).into()
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

    /// The error of a subscriber whose consumer is gone, as the queue's error says: the consumer was unregistered, or
    /// detached for holding too much.
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

    /// The whole chain of causes in one line, as `status` shows it.
    pub(crate) fn chain(&self) -> String {
        admin::exit::one_line(self)
    }

    /// The whole chain of causes in one line for a log, without rows.
    pub(crate) fn log_line(&self) -> String {
        admin::exit::log_line(self)
    }

    /// What an operator can do, if anything.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Trouble::Table(trouble) => Some(&trouble.advice),
            Trouble::Operator { advice, .. } => Some(advice),
            Trouble::Passing { advice, .. } => advice.as_deref(),
            Trouble::Stale => None,
        }
    }
}

/// An error of package `sql`, by its class. Of a database error the trouble is the same as of a statement that replay
/// makes itself, and keeps the driver's error as its source: SQLSTATE, advice and refusal are read from it.
impl From<sql::Error> for Trouble {
    fn from(error: sql::Error) -> Trouble {
        match error {
            sql::Error::Database { doing, source } => {
                Trouble::database(format!("could not {doing}"))(source)
            }
            other @ (sql::Error::ForeignSchema { .. }
            | sql::Error::Extension { .. }
            | sql::Error::Stranger { .. }
            | sql::Error::NotInstalled { .. }
            | sql::Error::NewerInstall { .. }
            | sql::Error::Manifest(_)
            | sql::Error::Unexpected(_)) => Trouble::sql("could not use the database")(other),
        }
    }
}

impl From<TableTrouble> for Trouble {
    fn from(trouble: TableTrouble) -> Trouble {
        Trouble::Table(Box::new(trouble))
    }
}

impl TableTrouble {
    /// The trouble of a table that the batch loop does not have, so that the table cannot be parked: the whole
    /// subscriber stops.
    pub(crate) fn stops_the_subscriber(self) -> Trouble {
        Trouble::Operator {
            doing: self.to_string(),
            advice: self.advice,
            source: self.source,
        }
    }
}

impl From<Illegal> for Trouble {
    fn from(illegal: Illegal) -> Trouble {
        Trouble::Operator {
            doing: "could not decide a table's next state".into(),
            advice: "this is a bug of this program: report it, with the log".into(),
            source: anyhow::Error::new(illegal),
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

/// Whether a unique index or an exclusion constraint refuses a row because of another row. Where rows of a transaction
/// are in each other's way, another order may do.
pub(crate) fn is_in_the_way(code: &SqlState) -> bool {
    [SqlState::UNIQUE_VIOLATION, SqlState::EXCLUSION_VIOLATION].contains(code)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of the driver; a server's answer cannot be made without a server.
    fn driver_error() -> tokio_postgres::Error {
        "port=none"
            .parse::<tokio_postgres::Config>()
            .expect_err("no port")
    }

    #[test]
    fn an_error_of_package_sql_makes_the_trouble_of_an_own_statement() {
        let table = TableName::new("public", "t");
        let of_sql = || sql::Error::database("read it")(driver_error());
        let of_own = || Trouble::database("could not read it")(driver_error());
        let (theirs, own) = (Trouble::from(of_sql()), of_own());
        assert!(matches!(theirs, Trouble::Operator { .. }));
        assert_eq!(theirs.chain(), own.chain());
        assert_eq!(theirs.advice(), own.advice());
        let theirs = Trouble::of_table(&table)(of_sql());
        assert!(matches!(theirs, Trouble::Table(_)));
        assert_eq!(theirs.chain(), of_own().at(&table).chain());
    }

    #[test]
    fn an_error_of_package_sql_that_no_statement_gave_says_what_is_wrong() {
        let trouble = Trouble::from(sql::Error::Unexpected("no row".into()));
        assert!(matches!(trouble, Trouble::Operator { .. }));
        assert_eq!(
            trouble.chain(),
            "could not use the database: unexpected answer from the server: no row"
        );
    }
}
