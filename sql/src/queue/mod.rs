//! Queues: making, dropping, settings, and how they stand. Touches schema pgq through its functions only.

pub mod consumer;
pub mod holder;
pub mod lineage;
pub mod maintenance;
mod maker;
pub mod tick;

use tokio_postgres::GenericClient;

pub use self::maker::{Maker, is_installed, maker};
use self::tick::{Epoch, TickId};
use crate::error::{Error, column};
use crate::install::ownership::{self, Schema};
use crate::near;

/// Makes a queue for replication, which ticks at once; false: the queue was there. Source: `trunkline.create_queue`.
///
/// # Errors
/// [`Error::NotInstalled`] where schema pgq is there and schema trunkline is not.
pub async fn create(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    ownership::require(client, Schema::PROVIDER).await?;
    let row = client
        .query_one("select trunkline.create_queue($1)", &[&queue])
        .await
        .map_err(Error::database(format!("make queue {queue}")))?;
    Ok(column::<i32>(&row, 0)? == 1)
}

/// Makes a queue with PgQ's thresholds, which ticks a few times a minute; false: the queue was there.
/// Source: `pgq.create_queue`.
pub async fn create_plain(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    let row = client
        .query_one("select pgq.create_queue($1)", &[&queue])
        .await
        .map_err(Error::database(format!("make queue {queue}")))?;
    Ok(column::<i32>(&row, 0)? == 1)
}

/// Drops a queue; `force` unregisters its consumers first. Source: `pgq.drop_queue`.
pub async fn drop(client: &impl GenericClient, queue: &str, force: bool) -> Result<(), Error> {
    client
        .execute("select pgq.drop_queue($1, $2)", &[&queue, &force])
        .await
        .map_err(Error::database(format!("drop queue {queue}")))?;
    Ok(())
}

/// Accepts a queue whose database was restored, and gives the queue a new identity: every replication of the queue then
/// copies its tables again. Source: `pgq.adopt_queue`.
pub async fn adopt(client: &impl GenericClient, queue: &str) -> Result<(), Error> {
    client
        .execute("select pgq.adopt_queue($1)", &[&queue])
        .await
        .map_err(Error::database(format!("adopt queue {queue}")))?;
    Ok(())
}

/// Changes a setting of a queue, named without `queue_`, such as `ticker_max_lag`. Source: `pgq.set_queue_config`.
pub async fn set(
    client: &impl GenericClient,
    queue: &str,
    setting: &str,
    value: &str,
) -> Result<(), Error> {
    client
        .execute(
            "select pgq.set_queue_config($1, $2, $3)",
            &[&queue, &setting, &value],
        )
        .await
        .map_err(Error::database(format!("set {setting} of queue {queue}")))?;
    Ok(())
}

/// The settings and the state of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueInfo {
    /// The queue's name.
    pub name: String,
    /// The queue's identity; None: a queue of PgQ, which has no identity.
    pub epoch: Option<Epoch>,
    /// The queue's last tick; None: the queue never had a tick.
    pub last_tick: Option<TickId>,
    /// Seconds since the last tick was made, by the server's clock.
    pub tick_age_seconds: Option<f64>,
    /// Events numbered since the last tick; the events' transactions may be open still.
    pub pending_events: Option<i64>,
    /// Events a second over the last ticks.
    pub events_per_second: Option<f64>,
    /// How many consumers are registered.
    pub consumers: i64,
    /// Bytes on disk of the queue's event tables with their indexes.
    pub bytes: i64,
    /// The queue's ticker is paused.
    pub paused: bool,
    /// The queue's ticks come from outside, not from our ticker.
    pub external_ticker: bool,
    /// Nobody may insert events.
    pub insert_disabled: bool,
    /// Events that make a tick due.
    pub max_count: i32,
    /// Seconds after which an event makes a tick due.
    pub max_lag_seconds: f64,
    /// Seconds after which a quiet queue gets a tick all the same.
    pub idle_period_seconds: f64,
    /// How many event tables take turns.
    pub tables: i32,
    /// The table that takes events now, from 0 on.
    pub current_table: i32,
    /// Event tables that rotation may add up to.
    pub max_tables: i32,
    /// Seconds that a consumer's oldest undone event may be old; 0: no limit.
    pub retention_age_seconds: f64,
    /// Bytes that may follow a consumer's position; 0: no limit.
    pub retention_bytes: i64,
    /// What happens to a consumer above a limit: `warn` or `detach`.
    pub retention_action: String,
    /// Seconds between two rotations, if nothing holds them up.
    pub rotation_period_seconds: f64,
    /// Seconds since the last rotation, by the server's clock.
    pub rotated_seconds_ago: f64,
}

/// The database's queues, in order of their names; a queue of PgQ lacks the facts that PgQ does not have. Needs
/// pgq_reader.
/// Source: `pgq.get_queue_info()`, pgq.queue and pgq.subscription.
pub async fn list(client: &impl GenericClient) -> Result<Vec<QueueInfo>, Error> {
    let rows = client
        .query(
            "select i.queue_name, (o.own ->> 'queue_epoch')::bigint, i.last_tick_id, \
                    extract(epoch from i.ticker_lag)::float8, i.ev_new, i.ev_per_sec, \
                    (select count(*) from pgq.subscription s where s.sub_queue = q.queue_id), \
                    (select coalesce(sum(pg_catalog.pg_total_relation_size(c.inhrelid)), 0)::bigint \
                       from pg_catalog.pg_inherits c \
                      where c.inhparent = q.queue_data_pfx::pg_catalog.regclass), \
                    i.queue_ticker_paused, i.queue_external_ticker, q.queue_disable_insert, \
                    i.queue_ticker_max_count, extract(epoch from i.queue_ticker_max_lag)::float8, \
                    extract(epoch from i.queue_ticker_idle_period)::float8, \
                    i.queue_ntables, i.queue_cur_table, \
                    extract(epoch from i.queue_rotation_period)::float8, \
                    greatest(0, extract(epoch from clock_timestamp() - i.queue_switch_time))::float8, \
                    coalesce((o.own ->> 'queue_max_tables')::int4, i.queue_ntables), \
                    coalesce(extract(epoch from (o.own ->> 'queue_retention_age')::interval), 0)::float8, \
                    coalesce((o.own ->> 'queue_retention_bytes')::bigint, 0), \
                    coalesce(o.own ->> 'queue_retention_action', 'warn') \
               from pgq.get_queue_info() i join pgq.queue q on q.queue_name = i.queue_name \
              cross join lateral (select pg_catalog.to_jsonb(q) as own) o \
              order by i.queue_name",
            &[],
        )
        .await
        .map_err(Error::database("list the queues"))?;
    rows.iter()
        .map(|row| {
            Ok(QueueInfo {
                name: column(row, 0)?,
                epoch: column::<Option<i64>>(row, 1)?.map(Epoch),
                last_tick: column::<Option<i64>>(row, 2)?.map(TickId),
                tick_age_seconds: column(row, 3)?,
                pending_events: column(row, 4)?,
                events_per_second: column(row, 5)?,
                consumers: column(row, 6)?,
                bytes: column(row, 7)?,
                paused: column(row, 8)?,
                external_ticker: column(row, 9)?,
                insert_disabled: column(row, 10)?,
                max_count: column(row, 11)?,
                max_lag_seconds: column(row, 12)?,
                idle_period_seconds: column(row, 13)?,
                tables: column(row, 14)?,
                current_table: column(row, 15)?,
                rotation_period_seconds: column(row, 16)?,
                rotated_seconds_ago: column(row, 17)?,
                max_tables: column(row, 18)?,
                retention_age_seconds: column(row, 19)?,
                retention_bytes: column(row, 20)?,
                retention_action: column(row, 21)?,
            })
        })
        .collect()
}

/// The names of all queues. Source: `pgq.get_queue_info`.
pub async fn names(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "select queue_name from pgq.get_queue_info() order by 1",
            &[],
        )
        .await
        .map_err(Error::database("list queues"))?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// `; did you mean NAME?`, to be put behind a sentence about a queue that does not exist. Empty if no queue's name is
/// near, or if the queues cannot be listed.
pub async fn did_you_mean(client: &impl GenericClient, queue: &str) -> String {
    let names = names(client).await.unwrap_or_default();
    near::did_you_mean(near::name(queue, names.iter().map(String::as_str)))
}

/// Whether there is a queue of this name. Source: `pgq.get_queue_info`.
pub async fn exists(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select exists (select from pgq.get_queue_info($1))",
            &[&queue],
        )
        .await
        .map_err(Error::database(format!("look for queue {queue}")))?;
    column(&row, 0)
}
