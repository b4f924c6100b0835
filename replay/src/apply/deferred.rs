//! The constraints that the session's role enforces at the end of a transaction, checked before that end.

use std::sync::Arc;

use sql::{
    event::shape::Shape,
    name::TableName,
    subscriber::{foreign_keys, session_role::SessionRole},
};

use super::ApplyTx;
use crate::trouble::Trouble;

impl ApplyTx<'_> {
    /// Checks the deferred constraints while it is still known which table a failure belongs to.
    pub(super) async fn check_deferred(&mut self) -> Result<(), Trouble> {
        if self.applier.session_role == SessionRole::Replica {
            return Ok(());
        }
        let checked = self
            .applier
            .session
            .batch_execute("savepoint deferred; set constraints all immediate")
            .await;
        let Err(error) = checked else {
            return Ok(());
        };
        let Some((schema, table, constraint)) = error.as_db_error().and_then(|said| {
            Some((
                said.schema()?.to_owned(),
                said.table()?.to_owned(),
                said.constraint()?.to_owned(),
            ))
        }) else {
            return Err(Trouble::database("could not check deferred constraints")(
                error,
            ));
        };
        self.applier
            .session
            .batch_execute("rollback to savepoint deferred")
            .await
            .map_err(Trouble::database("could not roll back on the subscriber"))?;
        // The table with the constraint; if that is not the job's, the table that it refers to.
        let session = &*self.applier.session;
        let on = TableName::new(schema, table);
        let names = foreign_keys::tables_of(session, &on, &constraint).await?;
        for name in names {
            if let Some(shape) = self.shape_of(&name) {
                return Err(Trouble::at_table(
                    &shape.table_name(),
                    "could not write its rows on the subscriber",
                )(error));
            }
        }
        Err(Trouble::database("could not check deferred constraints")(
            error,
        ))
    }

    /// The shape of the rows that are written to a table of the subscriber.
    fn shape_of(&self, target: &TableName) -> Option<&Arc<Shape>> {
        self.applier
            .writable
            .values()
            .find(|one| one.target.name == *target)
            .map(|one| &one.target.shape)
    }
}
