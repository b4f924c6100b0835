//! The settings under which replicated tables are written, of a session or of a transaction.

pub(crate) use admin::config::SessionRole;
use sql::connect::Session;
use tokio_postgres::error::SqlState;

use crate::trouble::Trouble;

/// Where replay's role may set it: the subscriber's own triggers and foreign keys do not act a
/// second time. In both roles a hidden row is an error, and the commit is durable.
const REPLICA: &str = "set local session_replication_role = replica; \
     set local synchronous_commit = on; set local row_security = off";

/// Deferrable constraints are checked when all of the transaction is written.
const ORIGIN: &str = "set local synchronous_commit = on; set local row_security = off; \
     set constraints all deferred";

/// Rows are staged in the order of their keys, so that their pages are read one after the other and
/// most are found in the cache. The planner takes each for a random page, and reads the whole
/// table, through a hash that goes to disk, for a fiftieth of its rows.
const PLANNER_SETTINGS: &str = "set random_page_cost = 0";

/// The settings of a transaction that writes replicated tables.
pub(crate) fn write_settings(role: SessionRole) -> &'static str {
    match role {
        SessionRole::Replica => REPLICA,
        SessionRole::Origin => ORIGIN,
    }
}

/// Makes a session ready to apply changes.
pub(crate) async fn make_ready(session: &Session, role: SessionRole) -> Result<(), Trouble> {
    session
        .batch_execute(&format!(
            "{}; {PLANNER_SETTINGS}",
            write_settings(role).replace("set local", "set")
        ))
        .await
        .map_err(|error| {
            if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                return Trouble::database("could not set the apply session up")(error);
            }
            Trouble::Operator {
                doing: "could not set session_replication_role on the subscriber".into(),
                advice:
                    "make replay's role there a superuser; or from PostgreSQL 15 on: grant set on \
                         parameter session_replication_role to it; or let it write as an ordinary \
                         session: session_role = \"origin\" in its config"
                        .into(),
                source: anyhow::Error::new(error),
            }
        })
}
