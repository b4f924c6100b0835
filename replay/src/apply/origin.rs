//! What acts on the subscriber when an ordinary session writes a table: triggers, rules and foreign keys that would act
//! a second time, and foreign keys that require an order.

use sql::{
    name::TableName,
    subscriber::{
        session_role::SessionRole,
        target::{self, OrdinaryWriting},
    },
};
use tokio_postgres::GenericClient;

use crate::trouble::Trouble;

/// Asks the subscriber about its table `target`, which the provider's `table` is written to. In the role replica none
/// of this acts, so nothing is asked.
pub(crate) async fn find(
    client: &impl GenericClient,
    table: &TableName,
    target: &TableName,
    role: SessionRole,
) -> Result<OrdinaryWriting, Trouble> {
    if role == SessionRole::Replica {
        return Ok(OrdinaryWriting::default());
    }
    target::ordinary_writing(client, target)
        .await
        .map_err(Trouble::sql_at_table(
            table,
            "could not look for its triggers and foreign keys on the subscriber",
        ))
}

/// Refuses a table with something that would act a second time.
pub(crate) fn refuse(ordinary: &OrdinaryWriting, table: &TableName) -> Result<(), Trouble> {
    let Some(acts) = &ordinary.acts else {
        return Ok(());
    };
    Err(Trouble::misfit(
        table,
        format!("it has on the subscriber, in an ordinary session: {acts}"),
        "disable or drop that on the subscriber (a trigger may be ENABLE REPLICA, a foreign key ON \
         DELETE NO ACTION), or let replay write as a replica: docs/roles.md",
    ))
}
