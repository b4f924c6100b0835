//! What writing a table in an ordinary session meets on the subscriber: triggers, rules and
//! foreign keys that would act a second time, and foreign keys that ask for an order.

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
    /// Tables that its foreign keys refer to, without itself.
    pub(crate) refers_to: Vec<u32>,
    /// A foreign key of it refers to itself.
    pub(crate) to_itself: bool,
    /// What would act.
    acts: Option<String>,
}

impl Ordinary {
    /// Asks the subscriber of its table `target`, which the provider's `table` is written to.
    /// Nothing of it matters to a replica, so then nothing is asked.
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

    /// Refuses a table where something would act a second time.
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

/// Whether a table of the list $2 is one that $1 refers to, and that does not refer back to it: its rows are asked
/// for by the foreign key.
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

/// Whether a table's copy is to wait for those of others; `to_come` are the tables of the subscriber, quoted, that
/// are not in yet.
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

/// How far each table is below tables that refer to no other; a cycle ends somewhere.
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

/// For tables of the subscriber with foreign keys, how many others are to come before them.
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
