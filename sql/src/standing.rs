//! Questions that are asked from outside the work, mostly for a status: which databases a server has, and how far a
//! subscriber is. One question a round trip. Reads only.

use std::time::SystemTime;

use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::queue::tick::{Epoch, TickId};
use crate::subscriber::position::{self, Position};

/// The position and the state of a consumer's subscriber, by the subscriber's own account.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberStanding {
    /// The identity of the queue that the subscriber follows.
    pub epoch: Epoch,
    /// The last tick that is applied.
    pub tick: TickId,
    /// When the last applied tick was made, by the provider's clock.
    pub tick_time: SystemTime,
    /// Where the provider was when the position got there, without credentials; None: not known yet.
    pub address: Option<String>,
    /// The archive that its batches are read from; None: the queue.
    pub source: Option<String>,
    /// The operator has paused the job.
    pub paused: bool,
    /// A failover keeps the job where it stands.
    pub held: bool,
    /// Rows that were not as their change said, since the install.
    pub conflicts: i64,
    /// Conflicts found in the last day; of older conflicts only a limited number is kept.
    pub recent_conflicts: i64,
    /// Rows that the batch being applied has written so far, if the batch takes long.
    pub batch_rows: Option<i64>,
    /// Why the batch loop does not go on, without values of rows; None: it goes on.
    pub last_error: Option<String>,
    /// What somebody must do about the error; None: the error may pass by itself.
    pub last_error_advice: Option<String>,
    /// Seconds since the error was stored, by the server's clock.
    pub last_error_seconds: Option<f64>,
}

/// The standing of `consumer`'s subscriber; None: replay is not installed in this database, or not for this consumer.
/// Source: trunkline.position and trunkline.conflict.
pub async fn subscriber(
    client: &impl GenericClient,
    consumer: &str,
) -> Result<Option<SubscriberStanding>, Error> {
    let doing = || format!("ask how consumer {consumer} stands");
    if !position::is_installed(client).await? {
        return Ok(None);
    }
    // Columns that an older install does not have yet are null.
    let row = client
        .query_opt(
            "select p.epoch, p.tick_id, p.tick_time, p.paused, p.conflicts, p.last_error, \
                    extract(epoch from pg_catalog.clock_timestamp() - p.last_error_at)::float8, \
                    (select count(*) from trunkline.conflict c \
                      where c.consumer = p.consumer and c.found_at > now() - interval '1 day'), \
                    (pg_catalog.to_jsonb(p) ->> 'batch_rows')::int8, \
                    pg_catalog.to_jsonb(p) ->> 'last_error_advice', \
                    pg_catalog.to_jsonb(p) ->> 'address', \
                    pg_catalog.to_jsonb(p) ->> 'held_by' is not null, \
                    pg_catalog.to_jsonb(p) ->> 'source' \
               from trunkline.position p where p.consumer = $1",
            &[&consumer],
        )
        .await
        .map_err(Error::database(doing()))?;
    row.map(|row| {
        Ok(SubscriberStanding {
            epoch: Epoch(row.try_get(0)?),
            tick: TickId(row.try_get(1)?),
            tick_time: row.try_get(2)?,
            paused: row.try_get(3)?,
            conflicts: row.try_get(4)?,
            last_error: row.try_get(5)?,
            last_error_seconds: row.try_get(6)?,
            recent_conflicts: row.try_get(7)?,
            batch_rows: row.try_get(8)?,
            last_error_advice: row.try_get(9)?,
            address: row.try_get(10)?,
            held: row.try_get(11)?,
            source: row.try_get(12)?,
        })
    })
    .transpose()
    .map_err(Error::database(doing()))
}

/// What a queue has beyond a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unapplied {
    /// The queue has the tick.
    pub is_known: bool,
    /// Seconds since the oldest event that the tick does not show, by the server's clock, whether a later tick shows
    /// the event or no tick yet; None: there is no such event.
    pub seconds: Option<f64>,
    /// Events numbered since the tick; the transactions of some may still roll back.
    pub events: i64,
}

/// What a queue has that tick `stands` does not show. Needs pgq_reader. Source: `trunkline.unapplied`.
pub async fn unapplied(
    client: &impl GenericClient,
    queue: &str,
    stands: TickId,
) -> Result<Unapplied, Error> {
    client
        .query_one(
            "select is_known, \
                    greatest(0, extract(epoch from pg_catalog.clock_timestamp() - oldest))::float8, events \
               from trunkline.unapplied($1, $2)",
            &[&queue, &stands.0],
        )
        .await
        .and_then(|row| {
            let oldest: Option<f64> = row.try_get(1)?;
            let events = row.try_get(2)?;
            Ok(Unapplied {
                is_known: row.try_get(0)?,
                seconds: oldest.filter(|_| events > 0),
                events,
            })
        })
        .map_err(Error::database(format!(
            "ask what queue {queue} has after tick {stands}"
        )))
}

/// How the replay of a node stands in the log of the node that it follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Following {
    /// The job's consumer.
    pub consumer: String,
    /// The last tick that is applied.
    pub position: Position,
    /// The operator has paused the job.
    pub paused: bool,
    /// Why it does not go on.
    pub error: Option<String>,
}

/// The replay that brings a queue's tables into this database; None: there is none. Source: `trunkline.position`.
pub async fn following(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Option<Following>, Error> {
    let doing = || Error::database(format!("ask how far queue {queue} is applied"));
    let row = client
        .query_opt(
            "select p.epoch, p.tick_id, p.tick_tag, p.consumer, p.paused, p.last_error from trunkline.position p \
              where p.queue = $1 order by p.applied_at desc, p.consumer limit 1",
            &[&queue],
        )
        .await
        .map_err(doing())?;
    let following = |row: &Row| {
        Ok(Following {
            position: Position::of(row).map_err(doing())?,
            consumer: column(row, 3)?,
            paused: column(row, 4)?,
            error: column(row, 5)?,
        })
    };
    row.as_ref().map(following).transpose()
}

/// Names of the databases of this server that this role may connect to, templates left out, in order.
pub async fn databases(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    client
        .query(
            "select datname::text from pg_catalog.pg_database \
              where datallowconn and not datistemplate \
                and pg_catalog.has_database_privilege(oid, 'connect') order by 1",
            &[],
        )
        .await
        .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("list the databases"))
}

/// Tells a database of a running server from every other database, by whatever name or address it was reached. A server
/// made from another server's files has the same numbers of cluster and databases, but it has started at another time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    cluster: i64,
    database: u32,
    server_started: String,
}

/// The identity of the session's database. Source: the control file, the server's start and the catalog.
pub async fn identity(client: &impl GenericClient) -> Result<DatabaseIdentity, Error> {
    client
        .query_one(
            "select c.system_identifier, d.oid, pg_catalog.pg_postmaster_start_time()::text \
               from pg_catalog.pg_control_system() c, pg_catalog.pg_database d \
              where d.datname = pg_catalog.current_database()",
            &[],
        )
        .await
        .and_then(|row| {
            Ok(DatabaseIdentity {
                cluster: row.try_get(0)?,
                database: row.try_get(1)?,
                server_started: row.try_get(2)?,
            })
        })
        .map_err(Error::database("ask which database this is"))
}
