//! What is asked from outside the work, mostly for a status: which databases a server has, how a subscriber stands.
//! One question a round trip. Reads only.

use std::time::SystemTime;

use tokio_postgres::GenericClient;

use crate::error::Error;
use crate::queue::tick::{Epoch, TickId};
use crate::subscriber::position;

/// How a consumer's subscriber stands, by the subscriber's own account.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberStanding {
    /// The queue's identity that it follows.
    pub epoch: Epoch,
    /// The last tick that is applied.
    pub tick: TickId,
    /// When that tick was made, by the provider's clock.
    pub tick_time: SystemTime,
    /// The operator has paused the job.
    pub paused: bool,
    /// Rows that were not as their change said, since the install.
    pub conflicts: i64,
    /// Of these, those found in the last day; older ones are kept up to a number only.
    pub recent_conflicts: i64,
    /// Rows that the batch in hand has written so far, if it takes long.
    pub batch_rows: Option<i64>,
    /// Why the batch loop does not go on, if it does not, without values of rows.
    pub last_error: Option<String>,
    /// What somebody must do about it; None: it may pass by itself.
    pub last_error_advice: Option<String>,
    /// Seconds since it was stored, by the server's clock.
    pub last_error_seconds: Option<f64>,
}

/// The standing of `consumer`; None: replay is not installed there, or not for this consumer.
/// Source: trunkline.position and trunkline.conflict.
pub async fn subscriber(
    client: &impl GenericClient,
    consumer: &str,
) -> Result<Option<SubscriberStanding>, Error> {
    let doing = || format!("ask how consumer {consumer} stands");
    if !position::is_installed(client).await? {
        return Ok(None);
    }
    // What an older install does not have yet is null.
    let row = client
        .query_opt(
            "select p.epoch, p.tick_id, p.tick_time, p.paused, p.conflicts, p.last_error, \
                    extract(epoch from pg_catalog.clock_timestamp() - p.last_error_at)::float8, \
                    (select count(*) from trunkline.conflict c \
                      where c.consumer = p.consumer and c.found_at > now() - interval '1 day'), \
                    (pg_catalog.to_jsonb(p) ->> 'batch_rows')::int8, \
                    pg_catalog.to_jsonb(p) ->> 'last_error_advice' \
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
        })
    })
    .transpose()
    .map_err(Error::database(doing()))
}

/// What a queue has that a tick does not show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unapplied {
    /// The queue has that tick.
    pub is_known: bool,
    /// Seconds since the oldest event that the tick does not show, whether a later one shows it or none yet, by the server's
    /// clock; None: there is no such event.
    pub seconds: Option<f64>,
    /// Events numbered since the tick; of these some may be rolled back yet.
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

/// What makes a database of a running server another one than any other, whatever name or address it was reached by. A
/// server that was made from another one's files has the same number of cluster and databases, but has not started with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    cluster: i64,
    database: u32,
    server_started: String,
}

/// Which database this is. Source: the control file, the server's start and the catalog.
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
