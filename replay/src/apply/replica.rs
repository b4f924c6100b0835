//! The settings under which replicated tables are written, of a session or of a transaction.

use sql::connect::Session;

use crate::trouble::Trouble;

/// Makes a transaction apply changes as a replica: the subscriber's own triggers and foreign
/// keys do not act a second time, a hidden row is an error, and the commit is durable.
pub(crate) const REPLICA_SETTINGS: &str = "set local session_replication_role = replica; \
     set local synchronous_commit = on; set local row_security = off";

/// Makes a session apply changes as a replica.
pub(crate) async fn become_replica(session: &Session) -> Result<(), Trouble> {
    session
        .batch_execute(&REPLICA_SETTINGS.replace("set local", "set"))
        .await
        .map_err(|error| {
            let denied = error.code().is_some_and(|code| code.code() == "42501");
            if !denied {
                return Trouble::database("could not set the apply session up")(error);
            }
            Trouble::Operator {
                doing: "could not set session_replication_role on the subscriber".into(),
                advice: "make replay's role there a superuser, or from PostgreSQL 15 on: \
                         grant set on parameter session_replication_role to it"
                    .into(),
                source: anyhow::Error::new(error),
            }
        })
}
