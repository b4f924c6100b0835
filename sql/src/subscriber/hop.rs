//! A consumer's move to another provider's queue: position and rows of all tables, in one statement of the transaction
//! that applies what the move needs.

use std::time::SystemTime;

use serde_json::{Value, json};
use tokio_postgres::GenericClient;

use super::{definition, path, position::Position, table_state::TableRow};
use crate::{
    error::Error,
    event::mapping::{ProviderColumn, stored},
    install::ownership::{Schema, relation_exists},
    provider::TableOrigin,
    queue::{lineage::NodePath, tick::Epoch},
};

/// A move to another log.
#[derive(Clone, Debug)]
pub struct Hop<'a> {
    /// The position that must still be the stored one.
    pub from: Position,
    /// The version of the list of tables that the move was planned under.
    pub tables_version: i64,
    /// The position in the other log.
    pub to: Position,
    /// When its tick was made, by the provider's clock.
    pub to_time: SystemTime,
    /// What that tick contains of other nodes' queues.
    pub origins: Option<&'a str>,
    /// The nodes whose changes are written by the move.
    pub path: &'a NodePath,
    /// Where the new provider is, without credentials; none: that is not known.
    pub address: Option<&'a str>,
    /// All tables of the consumer: each row as it must still be, and as it is afterwards.
    pub tables: &'a [(TableRow, TableRow)],
}

/// Moves the consumer. False if position, list or a row is not as it was read: then the transaction must not commit.
pub async fn swap(
    client: &impl GenericClient,
    consumer: &str,
    hop: &Hop<'_>,
) -> Result<bool, Error> {
    let failed = || Error::database("move the position to another log");
    let moved = client
        .execute(
            &format!(
                "with moved as ( \
                 update trunkline.position p set epoch = $6, tick_id = $7, tick_tag = $8, tick_time = $9, \
                     origins = $10::text::jsonb, address = $11, tables_version = p.tables_version + 1, \
                     path = {}, \
                     batch_rows = null, applied_at = clock_timestamp() \
                   from (select o.address from trunkline.position o where o.consumer = $1) before \
                  where p.consumer = $1 and p.epoch = $2 and p.tick_id = $3 and p.tick_tag = $4 \
                    and p.tables_version = $5 and p.held_by is null \
                 returning p.consumer, before.address), \
             arrived as ( \
                 delete from trunkline.left_upstream l using moved where l.consumer = moved.consumer and l.epoch = $6) \
             insert into trunkline.left_upstream (consumer, epoch, address) \
             select consumer, $2, address from moved \
             on conflict (consumer, epoch) do update set address = excluded.address, left_at = now()",
                path::extended("$12")
            ),
            &[
                &consumer,
                &hop.from.epoch.0,
                &hop.from.tick.id.0,
                &hop.from.tick.tag.0,
                &hop.tables_version,
                &hop.to.epoch.0,
                &hop.to.tick.id.0,
                &hop.to.tick.tag.0,
                &hop.to_time,
                &hop.origins,
                &hop.address,
                &hop.path.ids(),
            ],
        )
        .await
        .map_err(failed())?;
    if moved == 0 {
        return Ok(false);
    }
    let tables: Vec<Value> = hop.tables.iter().map(|(was, is)| both(was, is)).collect();
    let rewritten: i64 = client
        .query_one(
            REWRITE,
            &[
                &consumer,
                &Value::Array(tables).to_string(),
                &hop.from.epoch.0,
                &hop.origins,
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())?;
    let all: i64 = client
        .query_one(
            "select count(*) from trunkline.table_state where consumer = $1",
            &[&consumer],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())?;
    let planned = i64::try_from(hop.tables.len()).unwrap_or(i64::MAX);
    Ok(rewritten == planned && all == planned)
}

/// Rewrites the rows of tables that are as they were read; gives their number. The oid of a table in the log before is
/// kept as one further up, where the new place names that log: the next move may come before the new provider has been
/// asked.
const REWRITE: &str = "\
    with rewritten as ( \
        update trunkline.table_state s set \
            provider_oid = r.provider_oid::oid, state = r.state, existing = r.existing, tick_id = r.tick_id, \
            tick_tag = r.tick_tag, origins = r.origins, overlap_tick_id = r.overlap_tick_id, \
            copied_snapshot = null, copied_tick_id = null, copied_tick_tag = null, \
            error = r.error, error_detail = r.error_detail, advice = r.advice, needs_repair = r.needs_repair, \
            try_now = false, target_schema = r.target_schema, target_name = r.target_name, \
            column_attnums = r.column_attnums, filter_attnums = r.filter_attnums, schema_now = r.schema_now, \
            name_now = r.name_now, column_now = r.column_now, logged_from = null, logged_txid = null, \
            origins_txid = txid_current(), \
            origin_oids = ( \
                select jsonb_agg(jsonb_build_array(o.epoch, o.oid) order by o.number) \
                  from (select $3::bigint, s.provider_oid::bigint, 0::bigint \
                         union all \
                        select (u.origin ->> 0)::bigint, (u.origin ->> 1)::bigint, u.number \
                          from jsonb_array_elements(s.origin_oids) with ordinality u (origin, number)) \
                       o (epoch, oid, number) \
                 where r.state = 'ok' \
                   and o.epoch in ( \
                       select (a.place ->> 0)::bigint from jsonb_array_elements($4::text::jsonb) a (place))), \
            changed_at = case when r.state = s.state then s.changed_at else clock_timestamp() end \
          from jsonb_to_recordset($2::text::jsonb) r ( \
              schema_name text, table_name text, was_oid bigint, was_state text, was_tick bigint, \
              provider_oid bigint, state text, existing text, tick_id bigint, tick_tag bigint, origins jsonb, \
              overlap_tick_id bigint, error text, error_detail text, advice text, needs_repair boolean, \
              target_schema text, target_name text, column_attnums int2[], filter_attnums int2[], schema_now text, \
              name_now text, column_now jsonb) \
         where s.consumer = $1 and s.schema_name = r.schema_name and s.table_name = r.table_name \
           and s.provider_oid = r.was_oid::oid and s.state = r.was_state and s.tick_id is not distinct from r.was_tick \
        returning 1) \
    select count(*) from rewritten";

/// A row before and after the move, in the form of [`REWRITE`].
fn both(was: &TableRow, is: &TableRow) -> Value {
    let place = is.stand.place();
    let why = is.stand.why();
    let target = is.mapping.target.as_ref();
    let now = is.now.table.as_ref();
    let numbers = |columns: &[ProviderColumn]| stored(columns).0;
    let parse = |json: &str| serde_json::from_str::<Value>(json).unwrap_or_default();
    json!({
        "schema_name": was.table.schema,
        "table_name": was.table.name,
        "was_oid": was.provider_oid,
        "was_state": was.stand.state().as_str(),
        "was_tick": was.stand.place().map(|place| place.tick.id.0),
        "provider_oid": is.provider_oid,
        "state": is.stand.state().as_str(),
        "existing": is.existing.as_str(),
        "tick_id": place.map(|place| place.tick.id.0),
        "tick_tag": place.map(|place| place.tick.tag.0),
        "origins": place.and_then(|place| place.origins.as_deref()).map(parse),
        "overlap_tick_id": place.and_then(|place| place.overlap).map(|until| until.0),
        "error": why.map(|why| &why.error),
        "error_detail": why.and_then(|why| why.detail.as_deref()),
        "advice": why.map(|why| &why.advice),
        "needs_repair": is.stand.needs_repair(),
        "target_schema": target.map(|one| &one.schema),
        "target_name": target.map(|one| &one.name),
        "column_attnums": is.mapping.columns.as_deref().map(numbers),
        "filter_attnums": is.mapping.filter.as_ref().map(|one| numbers(&one.columns)),
        "schema_now": now.map(|one| &one.schema),
        "name_now": now.map(|one| &one.name),
        "column_now": is.now.columns_json().as_deref().map(parse),
    })
}

/// Whether tables that a consumer writes are captured in its own database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relaying {
    /// Some are: others may come here from the log that the consumer reads.
    pub relays: bool,
    /// Some tables that are `ok` are not marked yet: see [`mark_logged`].
    pub unmarked: bool,
}

/// Whether others may come here from the log that a consumer reads. Source: `trunkline.relaying`.
pub async fn relaying(client: &impl GenericClient, consumer: &str) -> Result<Relaying, Error> {
    let failed = || Error::database("ask whether written tables are captured");
    let row = client
        .query_one(
            "select relays, unmarked from trunkline.relaying($1)",
            &[&consumer],
        )
        .await
        .map_err(failed())?;
    Ok(Relaying {
        relays: row.try_get(0).map_err(failed())?,
        unmarked: row.try_get(1).map_err(failed())?,
    })
}

/// Notes that from the consumer's position on each change of the log that it reads is in its database's own log, tick
/// by tick; or that this is not so any more. Gives how many tables it notes that of. Source: `trunkline.mark_logged`.
pub async fn mark_logged(client: &impl GenericClient, consumer: &str) -> Result<i64, Error> {
    client
        .query_one("select trunkline.mark_logged($1)", &[&consumer])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("note since when tables are logged"))
}

/// Makes a tick of a queue of the same database, where that is the ticker's to do and not paused. Source:
/// `trunkline.tick_now`, which an older capture does not have: then the next tick is the ticker's.
pub async fn tick(client: &impl GenericClient, queue: &str) -> Result<(), Error> {
    if !definition::has_function(client, "trunkline.tick_now(text)").await? {
        return Ok(());
    }
    client
        .execute("select trunkline.tick_now($1)", &[&queue])
        .await
        .map_err(Error::database("make a tick"))?;
    Ok(())
}

/// Deletes the ticks that a consumer has stood at and nobody can come from any more. Source:
/// `trunkline.forget_applied`.
pub async fn forget_applied(client: &impl GenericClient, consumer: &str) -> Result<(), Error> {
    client
        .execute("select trunkline.forget_applied($1)", &[&consumer])
        .await
        .map_err(Error::database("forget ticks that were applied"))?;
    Ok(())
}

/// Stores where the provider is, so that it can be told when the consumer has left it; false if that is stored already.
pub async fn note_address(
    client: &impl GenericClient,
    consumer: &str,
    address: &str,
) -> Result<bool, Error> {
    let noted = client
        .execute(
            "update trunkline.position set address = $2 where consumer = $1 and address is distinct from $2",
            &[&consumer, &address],
        )
        .await
        .map_err(Error::database("store where the provider is"))?;
    Ok(noted == 1)
}

/// Stores the oids that the provider's tables have in the logs further up: of each table by its oid on the provider,
/// as `[[epoch, oid], ...]`, nearest first. Only of tables that are `ok`: what the provider says is of the consumer's
/// position. A table of which it says nothing keeps what is known. Gives how many tables that are `ok` have none.
pub async fn note_origins(
    client: &impl GenericClient,
    consumer: &str,
    origins: &[TableOrigin],
) -> Result<i64, Error> {
    let failed = || Error::database("store where the provider's tables come from");
    let oids: Vec<u32> = origins.iter().map(|one| one.oid).collect();
    let epochs: Vec<i64> = origins.iter().map(|one| one.epoch.0).collect();
    let log_oids: Vec<u32> = origins.iter().map(|one| one.log_oid).collect();
    client
        .execute(
            "with above as ( \
                 select o.oid, jsonb_agg(jsonb_build_array(o.epoch, o.log_oid::bigint) order by o.number) as origins \
                   from unnest($2::oid[], $3::bigint[], $4::oid[]) with ordinality o (oid, epoch, log_oid, number) \
                  group by o.oid) \
             update trunkline.table_state s set origin_oids = a.origins, origins_txid = txid_current() \
               from above a \
              where s.consumer = $1 and s.provider_oid = a.oid and s.state = 'ok' \
                and s.origin_oids is distinct from a.origins",
            &[&consumer, &oids, &epochs, &log_oids],
        )
        .await
        .map_err(failed())?;
    client
        .query_one(
            "select count(*) from trunkline.table_state \
             where consumer = $1 and state = 'ok' and origin_oids is null",
            &[&consumer],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())
}

/// Forgets the oids that a table of the provider has in the logs further up: they are those of other rows from now on.
/// Source: `trunkline.forget_origins`.
pub async fn forget_origins(
    client: &impl GenericClient,
    consumer: &str,
    provider_oid: u32,
) -> Result<(), Error> {
    client
        .execute(
            "select trunkline.forget_origins($1, $2)",
            &[&consumer, &provider_oid],
        )
        .await
        .map_err(Error::database("forget where a table comes from"))?;
    Ok(())
}

/// A provider where a consumer may be left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftUpstream {
    /// The identity of its queue.
    pub epoch: Epoch,
    /// Where it is, without credentials; none: that is not known.
    pub address: Option<String>,
}

/// The providers where a consumer may be left over.
pub async fn left(client: &impl GenericClient, consumer: &str) -> Result<Vec<LeftUpstream>, Error> {
    // An older install has no such table.
    if !relation_exists(client, Schema::Trunkline, "left_upstream").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select epoch, address from trunkline.left_upstream where consumer = $1 order by left_at",
            &[&consumer],
        )
        .await
        .map_err(Error::database("read which providers were left"))?;
    rows.iter()
        .map(|row| {
            Ok(LeftUpstream {
                epoch: Epoch(row.try_get(0)?),
                address: row.try_get(1)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read which providers were left"))
}

/// Notes that a consumer may be registered at a provider from now on, although it does not follow it.
pub async fn note_left(
    client: &impl GenericClient,
    consumer: &str,
    left: &LeftUpstream,
) -> Result<(), Error> {
    client
        .execute(
            "insert into trunkline.left_upstream (consumer, epoch, address) values ($1, $2, $3) \
             on conflict (consumer, epoch) do update set address = excluded.address, left_at = now()",
            &[&consumer, &left.epoch.0, &left.address],
        )
        .await
        .map_err(Error::database("store which provider may hold the consumer"))?;
    Ok(())
}

/// Forgets a provider at which the consumer is left over no more.
pub async fn forget_left(
    client: &impl GenericClient,
    consumer: &str,
    epoch: Epoch,
) -> Result<(), Error> {
    client
        .execute(
            "delete from trunkline.left_upstream where consumer = $1 and epoch = $2",
            &[&consumer, &epoch.0],
        )
        .await
        .map_err(Error::database("forget a provider that was left"))?;
    Ok(())
}
