//! Rows of `trunkline.restore`: how far a restore from an archive is. Each step is noted in the transaction that does
//! it.

use std::collections::HashSet;

use tokio_postgres::GenericClient;

use super::{position::Position, table_state};
use crate::{
    error::Error,
    install::ownership::{Schema, relation_exists},
    name::TableName,
};

/// The step that says what is restored.
const PLAN: &str = "plan";

/// A table that a restore brings up to its target.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The table's name on the provider.
    pub table: TableName,
    /// Its oid there.
    pub provider_oid: u32,
    /// The table that rows are written to.
    pub target: TableName,
}

/// What a restore is that was begun in the database and has not ended: its consumer, and the detail that
/// [`begin`] was given. None: there is none.
///
/// # Errors
/// [`Error::Stranger`] where schema trunkline belongs to a role that may not act as this session's role.
pub async fn unfinished(client: &impl GenericClient) -> Result<Option<(String, String)>, Error> {
    if !relation_exists(client, Schema::Trunkline, "restore").await? {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "select consumer, coalesce(detail, '') from trunkline.restore where step = $1 order by 1 limit 1",
            &[&PLAN],
        )
        .await
        .map_err(Error::database("look for a restore that has not ended"))?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .transpose()
        .map_err(Error::database("look for a restore that has not ended"))
}

/// Begins a restore.
///
/// # Errors
/// [`Error::Database`] if it cannot be stored.
pub async fn begin(client: &impl GenericClient, consumer: &str, plan: &str) -> Result<(), Error> {
    client
        .execute(
            "insert into trunkline.restore (consumer, step, detail) values ($1, $2, $3)",
            &[&consumer, &PLAN, &plan],
        )
        .await
        .map(|_| ())
        .map_err(Error::database("begin a restore"))
}

/// The steps that are done.
///
/// # Errors
/// [`Error::Database`] if they cannot be read.
pub async fn done(client: &impl GenericClient, consumer: &str) -> Result<HashSet<String>, Error> {
    client
        .query(
            "select step from trunkline.restore where consumer = $1",
            &[&consumer],
        )
        .await
        .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("read how far a restore is"))
}

/// Notes a step, in the transaction that does it; false if it was done already. It waits for another session that does
/// the same step.
///
/// # Errors
/// [`Error::Database`] if it cannot be stored.
pub async fn note(client: &impl GenericClient, consumer: &str, step: &str) -> Result<bool, Error> {
    let noted = client
        .execute(
            "insert into trunkline.restore (consumer, step) values ($1, $2) on conflict do nothing",
            &[&consumer, &step],
        )
        .await
        .map_err(Error::database("note a step of a restore"))?;
    Ok(noted == 1)
}

/// Gives the restore its position and its tables, all of them in sync there, in the caller's transaction.
///
/// # Errors
/// [`Error::Database`] if another job writes one of the tables.
pub async fn follow(
    client: &impl GenericClient,
    consumer: &str,
    job: &str,
    queue: &str,
    at: Position,
    tables: &[Followed],
) -> Result<(), Error> {
    super::position::register(client, consumer, job, queue, at).await?;
    for one in tables {
        client
            .execute(
                "insert into trunkline.table_state \
                     (consumer, schema_name, table_name, provider_oid, state, existing, target_schema, target_name) \
                 values ($1, $2, $3, $4, 'ok', 'refuse', $5, $6)",
                &[
                    &consumer,
                    &one.table.schema,
                    &one.table.name,
                    &one.provider_oid,
                    &one.target.schema,
                    &one.target.name,
                ],
            )
            .await
            .map_err(Error::database(format!("follow {}", one.table)))?;
        table_state::log_what_is_written(client, &one.target).await?;
    }
    Ok(())
}

/// The tables that are followed, if they have conflicts: each with how many.
///
/// # Errors
/// [`Error::Database`] if they cannot be read.
pub async fn conflicts(client: &impl GenericClient, consumer: &str) -> Result<i64, Error> {
    client
        .query_opt(
            "select conflicts from trunkline.position where consumer = $1",
            &[&consumer],
        )
        .await
        .and_then(|row| row.map_or(Ok(0), |row| row.try_get(0)))
        .map_err(Error::database("read the conflicts of a restore"))
}

/// Sets a sequence to a value; false: there is no such sequence.
///
/// # Errors
/// [`Error::Database`] if it does not take the value.
pub async fn set_sequence(
    client: &impl GenericClient,
    sequence: &TableName,
    value: i64,
    is_called: bool,
) -> Result<bool, Error> {
    client
        .query_one(
            "select coalesce(pg_catalog.setval(pg_catalog.to_regclass($1), $2, $3) is not null, false)",
            &[&sequence.quoted(), &value, &is_called],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("set sequence {sequence}")))
}

/// The materialized views that have no rows yet: a schema does not say whether they had any.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn not_filled(client: &impl GenericClient) -> Result<Vec<TableName>, Error> {
    client
        .query(
            "select schemaname::text, matviewname::text from pg_catalog.pg_matviews \
              where not ispopulated order by 1, 2",
            &[],
        )
        .await
        .and_then(|rows| rows.iter().map(TableName::of).collect())
        .map_err(Error::database("list materialized views"))
}

/// The roles of these that the server does not have.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn missing_roles(
    client: &impl GenericClient,
    roles: &[String],
) -> Result<Vec<String>, Error> {
    client
        .query_one(
            "select array(select r from unnest($1::text[]) with ordinality u (r, place) \
                    where not exists (select from pg_catalog.pg_roles p where p.rolname = r) order by place)",
            &[&roles],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for roles"))
}

/// Forgets a restore, in one transaction: its steps, position and table states. `with_schema`: the whole of schema
/// trunkline goes, which was made for it, unless somebody else has something in it by now.
///
/// # Errors
/// [`Error::Database`] if something cannot be taken away; all of it stays then.
pub async fn end(
    client: &impl GenericClient,
    consumer: &str,
    with_schema: bool,
) -> Result<(), Error> {
    let failed = || Error::database("end a restore");
    client.batch_execute("begin").await.map_err(failed())?;
    let ended = async {
        if with_schema && !has_others(client, consumer).await? {
            let drop = "drop schema trunkline cascade";
            return client.batch_execute(drop).await.map_err(failed());
        }
        let states = "delete from trunkline.table_state where consumer = $1";
        client
            .execute(states, &[&consumer])
            .await
            .map_err(failed())?;
        super::position::remove(client, consumer).await?;
        let steps = "delete from trunkline.restore where consumer = $1";
        client
            .execute(steps, &[&consumer])
            .await
            .map_err(failed())?;
        Ok(())
    };
    let ended = ended.await;
    let end = if ended.is_ok() { "commit" } else { "rollback" };
    let said = client.batch_execute(end).await;
    ended.and_then(|()| said.map_err(failed()))
}

/// Whether schema trunkline has something of others: another job's position, another restore, or an install of a
/// provider or of a node of a set. Who registers a job at the same moment is waited for.
async fn has_others(client: &impl GenericClient, consumer: &str) -> Result<bool, Error> {
    let failed = || Error::database("look for others in schema trunkline");
    let lock = "lock table trunkline.position in share row exclusive mode";
    client.batch_execute(lock).await.map_err(failed())?;
    client
        .query_one(
            "select exists (select from trunkline.position where consumer <> $1) \
                 or exists (select from trunkline.restore where consumer <> $1) \
                 or pg_catalog.to_regclass('trunkline.captured') is not null \
                 or pg_catalog.to_regclass('trunkline.role') is not null",
            &[&consumer],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())
}

/// Drops tables that a restore has made and that are not wanted any more, with all that depends on them.
///
/// # Errors
/// [`Error::Database`] if one cannot be dropped; those before it are gone.
pub async fn drop_tables(client: &impl GenericClient, tables: &[TableName]) -> Result<(), Error> {
    for table in tables {
        client
            .batch_execute(&format!("drop table if exists {} cascade", table.quoted()))
            .await
            .map_err(Error::database(format!("drop {table}")))?;
    }
    Ok(())
}

/// A subscriber that goes on with a restored database.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a> {
    /// Its consumer.
    pub consumer: &'a str,
    /// Its job.
    pub job: &'a str,
    /// The tables that it follows, by their oids on the provider.
    pub tables: &'a [u32],
    /// The sequences that are carried over to it.
    pub sequences: &'a [TableName],
}

/// Ends a restore so that a subscriber goes on from its position, in one transaction. A position that the subscriber
/// had without tables is given up: a loop that knows that one cannot commit any more.
///
/// # Errors
/// [`Error::Database`] if the subscriber has tables by now, or something cannot be stored; all of the restore stays
/// then.
pub async fn hand_over(
    client: &impl GenericClient,
    from: &str,
    taker: &Taker<'_>,
) -> Result<(), Error> {
    let failed = || Error::database("hand a restored database over to its subscriber");
    client
        .batch_execute("begin isolation level read committed")
        .await
        .map_err(failed())?;
    let handed = hand_over_in_transaction(client, from, taker).await;
    let end = if handed.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await;
    handed.and_then(|()| ended.map_err(failed()))
}

async fn hand_over_in_transaction(
    client: &impl GenericClient,
    from: &str,
    taker: &Taker<'_>,
) -> Result<(), Error> {
    let failed = || Error::database("hand a restored database over to its subscriber");
    let to = taker.consumer;
    let before = client
        .query_opt(
            "select tables_version, paused from trunkline.position where consumer = $1 for update",
            &[&to],
        )
        .await
        .map_err(failed())?;
    let (version, paused): (i64, bool) = match before {
        None => (0, false),
        Some(row) => {
            let columns = (row.try_get(0), row.try_get(1));
            (columns.0.map_err(failed())?, columns.1.map_err(failed())?)
        }
    };
    super::position::remove(client, to).await?;
    // The version is one that no loop has read: else a loop without tables could move the new position.
    client
        .execute(
            "insert into trunkline.position \
                 (consumer, job, queue, epoch, tick_id, tick_tag, tick_time, tables_version, paused, conflicts, \
                  origins, path) \
             select $2, $3, queue, epoch, tick_id, tick_tag, tick_time, greatest(tables_version, $4) + 1, $5, \
                    conflicts, origins, path \
               from trunkline.position where consumer = $1",
            &[&from, &to, &taker.job, &version, &paused],
        )
        .await
        .map_err(failed())?;
    // A restored table has its name said; a subscriber's has it only where it is another one than the provider's.
    let states = client
        .query(
            "update trunkline.table_state \
                set consumer = $2, \
                    target_schema = case when o.is_same then null else target_schema end, \
                    target_name = case when o.is_same then null else target_name end \
               from (select s.provider_oid as oid, s.name_now is null and s.target_schema = s.schema_name \
                            and s.target_name = s.table_name as is_same \
                       from trunkline.table_state s where s.consumer = $1) o \
              where consumer = $1 and provider_oid = o.oid and provider_oid = any ($3) \
             returning coalesce(target_schema, schema_name), coalesce(target_name, table_name)",
            &[&from, &to, &taker.tables],
        )
        .await
        .map_err(failed())?;
    for table in ["conflict", "applied_tick"] {
        let moved = format!("update trunkline.{table} set consumer = $2 where consumer = $1");
        client
            .execute(&moved, &[&from, &to])
            .await
            .map_err(failed())?;
    }
    for sequence in taker.sequences {
        client
            .execute(
                "insert into trunkline.sequence_state (consumer, schema_name, sequence_name) values ($1, $2, $3)",
                &[&to, &sequence.schema, &sequence.name],
            )
            .await
            .map_err(failed())?;
    }
    for statement in [
        "delete from trunkline.table_state where consumer = $1",
        "delete from trunkline.restore where consumer = $1",
    ] {
        client
            .execute(statement, &[&from])
            .await
            .map_err(failed())?;
    }
    super::position::remove(client, from).await?;
    for row in &states {
        let target = TableName::of(row).map_err(failed())?;
        table_state::log_what_is_written(client, &target).await?;
    }
    Ok(())
}
