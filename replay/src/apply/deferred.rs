//! The constraints that the session's role enforces at the end of a transaction, checked before that end.

use std::sync::Arc;

use sql::{event::shape::Shape, name::TableName, subscriber::session_role::SessionRole};

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
        let names = self
            .applier
            .session
            .query(
                "select n.nspname::text, c.relname::text \
                   from pg_catalog.pg_constraint k \
                   join pg_catalog.pg_class c on c.oid in (k.conrelid, k.confrelid) \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where k.conname = $1 and k.conrelid = pg_catalog.to_regclass($2) \
                  order by c.oid <> k.conrelid",
                &[&constraint, &TableName::new(schema, table).quoted()],
            )
            .await
            .map_err(Trouble::database("could not read a constraint"))?;
        for row in names {
            let name = TableName::new(
                row.try_get::<_, String>(0)
                    .map_err(Trouble::database("could not read a constraint"))?,
                row.try_get::<_, String>(1)
                    .map_err(Trouble::database("could not read a constraint"))?,
            );
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
