//! A session that is ready to apply changes.

use sql::{connect::Session, subscriber::session_role::SessionRole};
use tokio_postgres::error::SqlState;

use crate::trouble::Trouble;

/// Makes a session ready to apply changes.
pub(crate) async fn make_ready(session: &Session, role: SessionRole) -> Result<(), Trouble> {
    session
        .batch_execute(&role.for_session())
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
