//! What acts on the subscriber when an ordinary session writes a table: triggers, rules and foreign keys that would act
//! a second time, and foreign keys that require an order.

use sql::name::TableName;
use sql::subscriber::session_role::SessionRole;
use tokio_postgres::{GenericClient, types::Type};

use crate::trouble::Trouble;

/// What `trunkline.ordinary_writing` says of a table.
#[derive(Debug, Default)]
pub(crate) struct Ordinary {
    /// The table's number.
    pub(crate) relation: u32,
    /// Tables that the table's foreign keys refer to, without the table itself.
    pub(crate) refers_to: Vec<u32>,
    /// The table has a foreign key that refers to the table itself.
    pub(crate) to_itself: bool,
    /// The triggers, rules and foreign keys that would act a second time.
    acts: Option<String>,
}

impl Ordinary {
    /// Asks the subscriber about its table `target`, which the provider's `table` is written to. In the role replica
    /// none of this acts, so nothing is asked.
    pub(crate) async fn find(
        client: &impl GenericClient,
        table: &TableName,
        target: &TableName,
        role: SessionRole,
    ) -> Result<Ordinary, Trouble> {
        if role == SessionRole::Replica {
            return Ok(Ordinary::default());
        }
        client
            .query_typed_one(
                "select coalesce(relation, 0), refusal, refers_to, to_itself \
                 from trunkline.ordinary_writing($1, $2)",
                &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
            )
            .await
            .and_then(|row| {
                Ok(Ordinary {
                    relation: row.try_get(0)?,
                    acts: row.try_get(1)?,
                    refers_to: row.try_get(2)?,
                    to_itself: row.try_get(3)?,
                })
            })
            .map_err(Trouble::at_table(
                table,
                "could not look for its triggers and foreign keys on the subscriber",
            ))
    }

    /// Refuses a table with something that would act a second time.
    pub(crate) fn refuse(&self, table: &TableName) -> Result<(), Trouble> {
        let Some(acts) = &self.acts else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!("it has on the subscriber, in an ordinary session: {acts}"),
            "disable or drop that on the subscriber (a trigger may be ENABLE REPLICA, a foreign key ON \
             DELETE NO ACTION), or let replay write as a replica: docs/roles.md",
        ))
    }
}
