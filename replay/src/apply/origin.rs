//! What acts on the subscriber when an ordinary session writes a table: triggers, rules and foreign keys that would act
//! a second time, and foreign keys that require an order.

use std::collections::HashMap;

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

/// Whether $1 refers to a table of the list $2 that does not refer back to $1: a foreign key needs the rows of that
/// table.
const WAITS_FOR_OTHERS: &str = "with recursive key (child, parent) as ( \
         select k.conrelid, k.confrelid from pg_catalog.pg_constraint k \
          where k.contype = 'f' and k.conrelid <> k.confrelid \
     ), above (parent) as ( \
         select k.parent from key k where k.child = pg_catalog.to_regclass($1) \
         union select k.parent from above a join key k on k.child = a.parent \
     ) \
     select exists (select from above a \
         join pg_catalog.unnest($2::text[]) t (name) on pg_catalog.to_regclass(t.name) = a.parent \
        where not exists (with recursive up (parent) as ( \
                  select k.parent from key k where k.child = a.parent \
                  union select k.parent from up u join key k on k.child = u.parent) \
              select from up where up.parent = pg_catalog.to_regclass($1)))";

/// Whether a table's copy must wait for the copies of others. `to_come` are the subscriber's tables, quoted, that are
/// not copied yet.
pub(crate) async fn waits_for_others(
    client: &impl GenericClient,
    target: &TableName,
    to_come: &[String],
) -> Result<bool, Trouble> {
    client
        .query_one(WAITS_FOR_OTHERS, &[&target.quoted(), &to_come])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Trouble::database("could not read foreign keys"))
}

/// How deep each table is below tables that refer to no other; a cycle is cut at some depth.
const DEPTHS: &str = "with recursive key (child, parent) as ( \
         select k.conrelid, k.confrelid from pg_catalog.pg_constraint k \
          where k.contype = 'f' and k.conrelid <> k.confrelid \
     ), above (child, parent, depth) as ( \
         select k.child, k.parent, 1 from key k \
         union select a.child, k.parent, a.depth + 1 from above a join key k on k.child = a.parent \
          where a.depth < 20 \
     ) \
     select n.nspname::text, c.relname::text, max(a.depth) from above a \
       join pg_catalog.pg_class c on c.oid = a.child join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
      group by 1, 2";

/// For tables of the subscriber with foreign keys, how many other tables must be copied before them.
pub(crate) async fn depths(
    client: &impl GenericClient,
) -> Result<HashMap<TableName, i32>, tokio_postgres::Error> {
    let rows = client.query(DEPTHS, &[]).await?;
    rows.iter()
        .map(|row| {
            let name = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
            Ok((name, row.try_get(2)?))
        })
        .collect()
}
