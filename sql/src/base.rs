//! What making a base of an archive asks of the databases. Reads catalogs, and takes the locks of tables.

use std::time::SystemTime;

use tokio_postgres::GenericClient;

use crate::{
    columns,
    error::Error,
    name::{TableName, quote_literal},
    queue::tick::{Tick, TickId, TickTag},
    subscriber::relation,
};

/// The server's clock.
///
/// # Errors
/// [`Error::Database`] if the server does not say it.
pub async fn clock(client: &impl GenericClient) -> Result<SystemTime, Error> {
    client
        .query_one("select clock_timestamp()", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask a server for its time"))
}

/// The server's version, as `server_version_num` says it.
///
/// # Errors
/// [`Error::Database`] if the server does not say it.
pub async fn version(client: &impl GenericClient) -> Result<u32, Error> {
    client
        .query_one("select current_setting('server_version_num')::int4", &[])
        .await
        .and_then(|row| row.try_get::<_, i32>(0))
        .map(i32::unsigned_abs)
        .map_err(Error::database("ask a server for its version"))
}

/// Begins the reading transaction with the locks of tables. No snapshot is taken before the locks are held, because
/// snapshots do not show TRUNCATE and a rewriting ALTER.
///
/// To plan a query the server computes the constants in a table's indexes, statistics and checks, with the rights of
/// the role that asks. A superuser therefore takes a lock that keeps such code from being added meanwhile (writers do
/// not notice it), and can then ask for such code.
///
/// # Errors
/// [`Error::Database`] if a table cannot be locked; the transaction has failed then.
pub async fn begin(client: &impl GenericClient, tables: &[TableName]) -> Result<(), Error> {
    let failed = || Error::database("lock the tables");
    let names: Vec<String> = tables.iter().map(TableName::quoted).collect();
    let guarded: Vec<bool> = client
        .query_one(
            "select array(select coalesce( \
                          (select me.rolsuper and not o.rolsuper from pg_catalog.pg_class c \
                             join pg_catalog.pg_roles o on o.oid = c.relowner \
                             join pg_catalog.pg_roles me on me.rolname = current_user \
                            where c.oid = to_regclass(n.name)), false) \
                     from unnest($1::text[]) with ordinality n (name, place) order by n.place)",
            &[&names],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())?;
    let locks: Vec<String> = names
        .iter()
        .zip(guarded)
        .map(|(name, guarded)| {
            let mode = match guarded {
                true => "share update exclusive",
                false => "access share",
            };
            format!("; lock table {name} in {mode} mode")
        })
        .collect();
    client
        .batch_execute(&format!(
            "begin isolation level repeatable read read only{}; set local row_security = off",
            locks.concat()
        ))
        .await
        .map_err(failed())
}

/// A table of a subscriber, as far as reading it matters.
#[derive(Clone, Debug)]
pub struct Found {
    /// The table's oid there.
    pub oid: u32,
    /// Name, type and type's oid of each column; types as `format_type` writes them with a search_path of pg_catalog
    /// alone.
    pub columns: Vec<(String, String, u32)>,
    /// Code of others on it, which would run with the rights of the session's role; none: there is none.
    pub code: Option<String>,
}

/// Looks at a table of a subscriber. Source: the catalog, `trunkline.code_of_others`.
///
/// # Errors
/// [`Error::Database`] if there is no such table.
pub async fn look(client: &impl GenericClient, table: &TableName) -> Result<Found, Error> {
    let oid = relation::oid(client, table).await?;
    let code = client
        .query_one("select trunkline.code_of_others($1)", &[&oid])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("look for code on {table}")))?;
    Ok(Found {
        oid,
        columns: columns::named(client, oid).await?,
        code,
    })
}

/// The roles that the database's objects belong to, or that have rights on them: without our own schemas' objects, and
/// without roles that every server has.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn roles(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    client
        .query_one(
            "select array( \
                    select r.rolname::text from pg_catalog.pg_roles r where r.oid = 10 \
                     union \
                    select r.rolname::text \
                      from pg_catalog.pg_shdepend d \
                      join pg_catalog.pg_database b on b.oid = d.dbid and b.datname = current_database() \
                      join pg_catalog.pg_roles r on r.oid = d.refobjid and r.oid >= 16384 \
                     cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) o \
                     where d.refclassid = 'pg_catalog.pg_authid'::regclass \
                       and coalesce(o.schema, o.name, '') not in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') \
                     order by 1)",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("list the roles of a database"))
}

/// The number of large objects of the database.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn large_objects(client: &impl GenericClient) -> Result<i64, Error> {
    client
        .query_one(
            "select count(*) from pg_catalog.pg_largeobject_metadata",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for large objects"))
}

/// A tick, and a snapshot that shows just what the tick shows.
#[derive(Clone, Debug)]
pub struct ExportedTick {
    /// The tick.
    pub tick: Tick,
    /// The snapshot's name for other sessions, as long as the transaction is open.
    pub snapshot: String,
}

/// Makes a tick of a queue, in a transaction that is left open: it ends with `commit` as soon as the snapshot is used.
/// None: another transaction has ended in the same moment; the transaction was rolled back, and this is to be called
/// again. Source: `trunkline.tick_for_base`.
///
/// # Errors
/// [`Error::Database`] where the queue makes no ticks of its own.
pub async fn tick(client: &impl GenericClient, queue: &str) -> Result<Option<ExportedTick>, Error> {
    let failed = || Error::database("make the tick of a base");
    client
        .batch_execute("begin isolation level read committed")
        .await
        .map_err(failed())?;
    let row = client
        .query_opt(
            "select tick_id, tick_tag, snapshot from trunkline.tick_for_base($1)",
            &[&queue],
        )
        .await
        .map_err(failed())?;
    let Some(row) = row else {
        client.batch_execute("rollback").await.map_err(failed())?;
        return Ok(None);
    };
    let exported = || {
        Ok(ExportedTick {
            tick: Tick {
                id: TickId(row.try_get(0)?),
                tag: TickTag(row.try_get(1)?),
            },
            snapshot: row.try_get(2)?,
        })
    };
    exported().map(Some).map_err(failed())
}

/// Has the open transaction read a snapshot that another session has exported.
///
/// # Errors
/// [`Error::Database`] if the snapshot is gone.
pub async fn join(client: &impl GenericClient, snapshot: &str) -> Result<(), Error> {
    let name = quote_literal(snapshot);
    client
        .batch_execute(&format!("set transaction snapshot {name}"))
        .await
        .map_err(Error::database("read an exported snapshot"))
}

/// The shape of each table of a queue as it was at a tick, as the provider wrote it; tables that came later have none.
pub async fn shapes_at(
    client: &impl GenericClient,
    queue: &str,
    tick: i64,
) -> Result<Vec<String>, Error> {
    client
        .query(
            "select distinct on (s.table_oid) s.definition::text \
               from trunkline.shape s \
               join pgq.queue q on q.queue_id = s.queue_id \
               join pgq.tick t on t.tick_queue = q.queue_id and t.tick_id = $2 \
              where q.queue_name = $1 and pg_catalog.txid_visible_in_snapshot(s.logged_txid, t.tick_snapshot) \
              order by s.table_oid, s.shape_id desc",
            &[&queue, &tick],
        )
        .await
        .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("read the shapes of a tick on the provider"))
}
