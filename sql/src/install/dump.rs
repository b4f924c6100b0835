//! Objects that a schema-only dump of another node brought along, and that an install removes first. Touches schemas
//! trunkline, pgq, pgq_coop and pgq_ext where these hold no data.

use tokio_postgres::Transaction;

use super::installed::extension_of;
use super::ownership::{Schema, prove, relation_exists};
use crate::error::{Error, column};

/// Removes the objects that a schema-only dump of another node brought along: the dump's capture triggers would fire
/// here, and its empty tables would be taken for an installation.
///
/// Our installer always leaves a row in `trunkline.component`, so a table without a row came with a dump. The queue's
/// schema is removed too if it is ours (it has epochs) and holds no queue.
pub(crate) async fn remove_dump(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let doing = || Error::database("look for objects that came with a dump");
    if !relation_exists(transaction, Schema::Trunkline, "component").await?
        || !relation_exists(transaction, Schema::Trunkline, "node").await?
    {
        return Ok(false);
    }
    prove(transaction, &[Schema::Pgq, Schema::PgqCoop, Schema::PgqExt]).await?;
    if extension_of(transaction, "trunkline").await?.is_some() {
        return remove_dump_of_extension(transaction).await;
    }
    let row = transaction
        .query_one(
            "select exists (select from trunkline.component) or exists (select from trunkline.node)",
            &[],
        )
        .await
        .map_err(doing())?;
    if column(&row, 0)? {
        return Ok(false);
    }
    transaction
        .batch_execute("drop schema trunkline cascade")
        .await
        .map_err(Error::database(
            "drop schema trunkline, which came with a dump",
        ))?;
    let row = transaction
        .query_one(
            "select exists (select from pg_catalog.pg_attribute a \
               join pg_catalog.pg_class c on c.oid = a.attrelid \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where n.nspname = 'pgq' and c.relname = 'queue' and a.attname = 'queue_epoch')",
            &[],
        )
        .await
        .map_err(doing())?;
    if column(&row, 0)? {
        let row = transaction
            .query_one("select exists (select from pgq.queue)", &[])
            .await
            .map_err(doing())?;
        if !column::<bool>(&row, 0)? {
            transaction
                .batch_execute("drop schema pgq cascade")
                .await
                .map_err(Error::database("drop schema pgq, which came with a dump"))?;
        }
    }
    for schema in ["pgq_coop", "pgq_ext"] {
        remove_dumped_schema(transaction, schema).await?;
    }
    Ok(true)
}

/// Drops one of the schemas that come with the queue, if the schema is ours and holds nothing.
async fn remove_dumped_schema(transaction: &Transaction<'_>, schema: &str) -> Result<(), Error> {
    let doing = || Error::database(format!("drop schema {schema}, which came with a dump"));
    let row = transaction
        .query_one(
            "select exists (select from pg_catalog.pg_namespace n where n.nspname = $1 \
                and pg_catalog.obj_description(n.oid, 'pg_namespace') like 'Trunkline: %')",
            &[&schema],
        )
        .await
        .map_err(doing())?;
    if !column::<bool>(&row, 0)? {
        return Ok(());
    }
    if schema == "pgq_ext" {
        let row = transaction
            .query_one(
                "select exists (select from pgq_ext.completed_batch) \
                     or exists (select from pgq_ext.completed_event) \
                     or exists (select from pgq_ext.completed_tick)",
                &[],
            )
            .await
            .map_err(doing())?;
        if column(&row, 0)? {
            return Ok(());
        }
    }
    transaction
        .batch_execute(&format!("drop schema {schema} cascade"))
        .await
        .map_err(doing())
}

/// The same as `remove_dump` where the objects belong to an extension. CREATE EXTENSION made the extension's objects
/// anew, so only the objects that were made for each queue and table came with the dump. Without a queue these objects
/// are not used.
async fn remove_dump_of_extension(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let rows = transaction
        .query(GENERATED_WITHOUT_QUEUE, &[])
        .await
        .map_err(Error::database("look for objects that came with a dump"))?;
    for row in &rows {
        // The server has quoted the names.
        let drop: String = column(row, 0)?;
        transaction
            .batch_execute(&drop)
            .await
            .map_err(Error::database(format!("{drop}, which came with a dump")))?;
    }
    Ok(!rows.is_empty())
}

/// Statements that drop the objects that capture and queues have made where there is no queue; members of extensions
/// stay.
const GENERATED_WITHOUT_QUEUE: &str = "\
    select o.statement from ( \
        select 0, t.oid, pg_catalog.format('drop trigger %I on %s', t.tgname, t.tgrelid::pg_catalog.regclass) \
          from pg_catalog.pg_trigger t \
          join pg_catalog.pg_proc p on p.oid = t.tgfoid \
         where p.pronamespace = 'trunkline'::pg_catalog.regnamespace and t.tgname = 'deny_trunkline' \
        union all \
        select 1, p.oid, pg_catalog.format('drop function %s cascade', p.oid::pg_catalog.regprocedure) \
          from pg_catalog.pg_proc p \
         where p.pronamespace = 'trunkline'::pg_catalog.regnamespace \
           and p.proname ~ '^(capture|put)_[0-9]+' \
            or p.pronamespace = 'pgq'::pg_catalog.regnamespace and p.proname ~ '^_insert_[0-9]+$' \
        union all \
        select 2, c.oid, pg_catalog.format('drop table %s cascade', c.oid::pg_catalog.regclass) \
          from pg_catalog.pg_class c \
         where c.relnamespace = 'pgq'::pg_catalog.regnamespace and c.relkind = 'r' \
           and c.relname ~ '^event_[0-9]+$' \
        union all \
        select 3, c.oid, pg_catalog.format('drop sequence %s cascade', c.oid::pg_catalog.regclass) \
          from pg_catalog.pg_class c \
         where c.relnamespace = 'pgq'::pg_catalog.regnamespace and c.relkind = 'S' \
           and c.relname ~ '^event_[0-9]+_(id|tick)_seq$') o (place, object, statement) \
     where not exists (select from pgq.queue) \
       and not exists (select from pg_catalog.pg_depend d where d.objid = o.object and d.deptype = 'e') \
     order by o.place, o.object";
