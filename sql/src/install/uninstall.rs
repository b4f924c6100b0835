//! Takes our SQL objects out of a database. Touches schemas pgq, pgq_coop, pgq_ext and trunkline, our event triggers,
//! and the database's `default_transaction_read_only` where a fence has set it. The roles `pgq_reader`, `pgq_writer`
//! and `pgq_admin` are the server's, and stay.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient, Transaction};

use super::installed::{extension_of, schema_exists};
use super::ownership::{Schema, prove, relation_exists};
use super::{SETTINGS, lock_statement};
use crate::error::{Error, column};
use crate::moment::{self, Tries};

/// The schemas that are ours where we have made them, each behind those that stand on it.
const SCHEMAS: [Schema; 4] = [
    Schema::Trunkline,
    Schema::PgqExt,
    Schema::PgqCoop,
    Schema::Pgq,
];

/// How long the locks on tables of users are tried for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a database has anything of ours. All of our schemas are proven by that.
///
/// # Errors
/// [`Error::Stranger`] for a schema that belongs to somebody else, [`Error::Database`].
pub async fn is_there(client: &impl GenericClient) -> Result<bool, Error> {
    prove(client, &SCHEMAS).await?;
    relation_exists(client, Schema::Trunkline, "component").await
}

/// Objects of users that use ours, and would go with them: `view public.v`, `trigger log on public.t`. In their order.
///
/// # Errors
/// As [`is_there`].
pub async fn dependents(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    let schemas = ours(client).await?;
    let doing = "ask what uses our objects";
    let rows = client
        .query_typed(DEPENDENTS, &[(&schemas, Type::TEXT_ARRAY)])
        .await
        .map_err(Error::database(doing))?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// Objects that depend on those of the schemas `$1`, and are no part of them, nor triggers of ours on users' tables.
const DEPENDENTS: &str = "\
with recursive part (classid, objid) as ( \
    select d.classid, d.objid from pg_catalog.pg_depend d \
      join pg_catalog.pg_namespace n on n.oid = d.refobjid and n.nspname = any ($1::text[]::name[]) \
     where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
     union \
    select d.classid, d.objid from part p \
      join pg_catalog.pg_depend d on d.refclassid = p.classid and d.refobjid = p.objid and d.deptype in ('a', 'i')), \
used as ( \
    select distinct d.classid, d.objid, d.objsubid from part p \
      join pg_catalog.pg_depend d on d.refclassid = p.classid and d.refobjid = p.objid and d.deptype = 'n' \
     where not exists (select from part q where q.classid = d.classid and q.objid = d.objid)) \
select distinct (i.type || ' ' || i.identity) collate \"C\" \
  from used u cross join lateral pg_catalog.pg_identify_object(u.classid, u.objid, u.objsubid) i \
  left join pg_catalog.pg_trigger t on u.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass and t.oid = u.objid \
  left join pg_catalog.pg_event_trigger e \
    on u.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass and e.oid = u.objid \
 where not exists (select from pg_catalog.pg_proc f \
                     join pg_catalog.pg_namespace n on n.oid = f.pronamespace and n.nspname = 'trunkline' \
                    where f.oid = t.tgfoid) \
   and (e.evtname is null or e.evtname not like 'trunkline\\_%') \
   and u.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass \
 order by 1";

/// Those of our schemas that are there and ours: PgQ's `pgq_ext` beside our queue is not.
async fn ours(client: &impl GenericClient) -> Result<Vec<&'static str>, Error> {
    prove(client, &SCHEMAS).await?;
    if !is_there(client).await? {
        return Ok(Vec::new());
    }
    let mut found = vec![Schema::Trunkline.name()];
    for schema in &SCHEMAS[1..] {
        let recorded = client
            .query_one(
                "select exists (select from trunkline.component c where c.name = $1)",
                &[&schema.name()],
            )
            .await
            .map_err(Error::database("ask what is installed"))?;
        if column(&recorded, 0)? && schema_exists(client, schema.name()).await? {
            found.push(schema.name());
        }
    }
    Ok(found)
}

/// Takes everything of ours out of the database: capture and its triggers, queues with their events and consumers,
/// positions, states, roles. Tables of users keep their rows. Writers of a table wait a moment at most. With `cascade`
/// the objects of users that use ours go, too.
///
/// A run that is interrupted, or does not get a lock, has taken out a part of capture, and is safe to repeat.
///
/// # Errors
/// [`Error::Stranger`] for schemas that are not ours, [`Error::Database`], among them locks that were not granted in
/// time.
pub async fn uninstall(client: &mut Client, cascade: bool) -> Result<(), Error> {
    if !is_there(client).await? {
        return Ok(());
    }
    prove(client, &SCHEMAS).await?;
    // Each table by itself, so that no transaction holds the locks of many.
    let tables = client
        .query(OUR_TRIGGERS, &[])
        .await
        .map_err(Error::database("list our triggers"))?;
    for row in &tables {
        let drop: String = column(row, 0)?;
        let tries = Tries::within(PATIENCE);
        while let Err(error) = one_table(client, &drop).await {
            tries.again(error).await?;
        }
    }
    let tries = Tries::within(PATIENCE);
    while let Err(error) = rest(client, cascade).await {
        tries.again(error).await?;
    }
    Ok(())
}

/// A statement for each table with triggers of ours that takes them away.
const OUR_TRIGGERS: &str = "\
select string_agg(format('drop trigger if exists %I on %s', t.tgname, t.tgrelid::pg_catalog.regclass), '; ' \
                  order by t.tgname) \
  from pg_catalog.pg_trigger t \
  join pg_catalog.pg_proc p on p.oid = t.tgfoid \
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'trunkline' \
  join pg_catalog.pg_class c on c.oid = t.tgrelid and c.relnamespace <> n.oid \
  join pg_catalog.pg_namespace h on h.oid = c.relnamespace and h.nspname not in ('pgq', 'pgq_coop', 'pgq_ext') \
 where not t.tgisinternal and not exists ( \
       select from pg_catalog.pg_inherits i where i.inhrelid = t.tgrelid and c.relispartition \
          and exists (select from pg_catalog.pg_trigger u where u.tgrelid = i.inhparent and u.tgfoid = t.tgfoid \
                         and t.tgname = u.tgname and pg_catalog.pg_get_triggerdef(u.oid) like '%FOR EACH ROW%')) \
 group by t.tgrelid order by t.tgrelid";

/// Our event triggers would look after a capture that goes, and are of no use any more: these transactions drop them.
async fn one_table(client: &mut Client, drop: &str) -> Result<(), Error> {
    let transaction = begin(client).await?;
    transaction
        .batch_execute(drop)
        .await
        .map_err(Error::database("take our triggers off a table"))?;
    let done = transaction.commit().await;
    done.map_err(Error::database("take our triggers off a table"))
}

/// Everything but the triggers, in one transaction.
async fn rest(client: &mut Client, cascade: bool) -> Result<(), Error> {
    let transaction = begin(client).await?;
    let schemas = ours(&transaction).await?;
    if schemas.is_empty() {
        return Ok(());
    }
    give_writes_back(&transaction).await?;
    if !cascade && let Some(first) = dependents(&transaction).await?.first() {
        return Err(Error::Unexpected(format!(
            "{first} has come to use our objects"
        )));
    }
    let mut text = String::new();
    let mut extensions = Vec::new();
    for schema in schemas {
        match extension_of(&transaction, schema).await? {
            Some(extension) if extensions.contains(&extension.name) => {}
            Some(extension) => {
                text.push_str(&format!(
                    "drop extension if exists {} cascade;",
                    extension.name
                ));
                extensions.push(extension.name);
            }
            None => text.push_str(&format!("drop schema if exists {schema} cascade;")),
        }
    }
    transaction
        .batch_execute(&text)
        .await
        .map_err(Error::database("drop our schemas"))?;
    let done = transaction.commit().await;
    done.map_err(Error::database("commit the uninstallation"))
}

/// A transaction that no installer runs beside, and in which locks are asked for in a moment.
async fn begin(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await
        .map_err(Error::database("begin the uninstallation"))?;
    let begin = format!(
        "{SETTINGS}{};{}{DROP_EVENT_TRIGGERS}",
        moment::in_transaction(),
        lock_statement()
    );
    transaction
        .batch_execute(&begin)
        .await
        .map_err(Error::database("take our event triggers away"))?;
    Ok(transaction)
}

/// First of all, or they would call functions that are gone.
const DROP_EVENT_TRIGGERS: &str = "\
drop event trigger if exists trunkline_ddl_command_end; \
drop event trigger if exists trunkline_sql_drop; \
drop event trigger if exists trunkline_table_rewrite;";

/// Takes back what a fence has made of the database's settings.
async fn give_writes_back(transaction: &Transaction<'_>) -> Result<(), Error> {
    if !relation_exists(transaction, Schema::Trunkline, "role").await? {
        return Ok(());
    }
    transaction
        .batch_execute("delete from trunkline.role; select trunkline.follow_read_only()")
        .await
        .map_err(Error::database("have the database take writes again"))?;
    let left = transaction
        .query_one(
            "select exists (select from trunkline.node n where n.read_only_before is not null)",
            &[],
        )
        .await
        .map_err(Error::database("ask whether the database takes writes"))?;
    if column(&left, 0)? {
        return Err(Error::Unexpected(
            "default_transaction_read_only of the database is a fence's, and only the database's owner may reset it"
                .into(),
        ));
    }
    Ok(())
}
