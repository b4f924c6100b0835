//! What is asked from outside the work, mostly for a status: which databases a server has, how a subscriber stands.
//! One question a round trip. Reads only.

use std::time::SystemTime;

use tokio_postgres::GenericClient;

use crate::error::Error;
use crate::position;
use crate::tick::{Epoch, TickId};

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
    /// Why the batch loop does not go on, if it does not.
    pub last_error: Option<String>,
    /// A batch loop of this job is connected to this database.
    pub worker_connected: bool,
}

/// The standing of `consumer`; None: replay is not installed there, or not for this consumer.
/// `worker` is the `application_name` of the batch loop. Source: trunkline.position,
/// trunkline.conflict and pg_stat_activity.
pub async fn subscriber(
    client: &impl GenericClient,
    consumer: &str,
    worker: &str,
) -> Result<Option<SubscriberStanding>, Error> {
    let doing = || format!("ask how consumer {consumer} stands");
    if !position::is_installed(client).await? {
        return Ok(None);
    }
    // The server cuts application_name at 63 bytes; left() of a name type does the same.
    let row = client
        .query_opt(
            "select p.epoch, p.tick_id, p.tick_time, p.paused, p.conflicts, p.last_error, \
                    exists (select from pg_catalog.pg_stat_activity a \
                             where a.datname = pg_catalog.current_database() \
                               and a.application_name = $2::text::name::text), \
                    (select count(*) from trunkline.conflict c \
                      where c.consumer = p.consumer and c.found_at > now() - interval '1 day'), \
                    (pg_catalog.to_jsonb(p) ->> 'batch_rows')::int8 \
               from trunkline.position p where p.consumer = $1",
            &[&consumer, &worker],
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
            worker_connected: row.try_get(6)?,
            recent_conflicts: row.try_get(7)?,
            batch_rows: row.try_get(8)?,
        })
    })
    .transpose()
    .map_err(Error::database(doing()))
}

/// Seconds since `then`, by this server's clock; never negative.
pub async fn seconds_since(client: &impl GenericClient, then: SystemTime) -> Result<f64, Error> {
    client
        .query_one(
            "select greatest(0, extract(epoch from pg_catalog.clock_timestamp() - $1))::float8",
            &[&then],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("read the server's clock"))
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

/// What makes a database another one than any other, whatever name or address it was reached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    cluster: i64,
    database: u32,
}

/// Which database this is. Source: the control file and the catalog.
pub async fn identity(client: &impl GenericClient) -> Result<DatabaseIdentity, Error> {
    client
        .query_one(
            "select c.system_identifier, d.oid from pg_catalog.pg_control_system() c, pg_catalog.pg_database d \
              where d.datname = pg_catalog.current_database()",
            &[],
        )
        .await
        .and_then(|row| {
            Ok(DatabaseIdentity {
                cluster: row.try_get(0)?,
                database: row.try_get(1)?,
            })
        })
        .map_err(Error::database("ask which database this is"))
}
