//! Rows of `trunkline.position` on a subscriber: the positions of consumers. A position is moved only by
//! compare-and-swap, in the transaction that applies the data.

use std::time::SystemTime;

use tokio::sync::OnceCell;
use tokio_postgres::{GenericClient, Row, Statement, types::ToSql};

use super::{path, session_role::SessionRole, table_state::COPIED_AGAIN};
use crate::error::{Error, column};
use crate::install::ownership::{Schema, relation_exists};
use crate::queue::lineage::Lineage;
use crate::queue::tick::{Epoch, Tick, TickId, TickTag};
use crate::script::record;

/// A place in the history of a queue. The epoch tells one queue from another of the same
/// name, the tag one tick from another of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The queue's identity.
    pub epoch: Epoch,
    /// The last tick that is applied.
    pub tick: Tick,
}

impl Position {
    /// The position in a row's first three columns: epoch, tick id, tag.
    pub(crate) fn of(row: &Row) -> Result<Position, tokio_postgres::Error> {
        Ok(Position {
            epoch: Epoch(row.try_get(0)?),
            tick: Tick {
                id: TickId(row.try_get(1)?),
                tag: TickTag(row.try_get(2)?),
            },
        })
    }
}

/// What a subscriber stores about a consumer.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The position up to which everything is applied.
    pub position: Position,
    /// The queue of the position.
    pub queue: String,
    /// What the position's tick contains of other nodes' queues: `trunkline.position.origins`.
    pub origins: Option<String>,
    /// Where the provider of the position is, without credentials; none: not stored yet.
    pub address: Option<String>,
    /// Grows when another session than the batch loop's takes a table out of the batch loop.
    pub tables_version: i64,
    /// The operator has paused the job.
    pub paused: bool,
    /// A failover keeps the job where it stands (`trunkline.freeze`): nothing commits.
    pub is_held: bool,
    /// Rows that were not as the change said, since the install.
    pub conflicts: i64,
    /// Why the loop does not go on; none: it goes on.
    pub last_error: Option<String>,
    /// Seconds since the last applied tick was made, by the two servers' clocks.
    pub seconds_behind: f64,
}

impl Stored {
    /// Whether nothing is to be applied.
    pub fn rests(&self) -> bool {
        self.paused || self.is_held
    }
}

fn stored(row: &Row) -> Result<Stored, tokio_postgres::Error> {
    Ok(Stored {
        position: Position::of(row)?,
        tables_version: row.try_get(3)?,
        paused: row.try_get(4)?,
        conflicts: row.try_get(5)?,
        last_error: row.try_get(6)?,
        seconds_behind: row.try_get(7)?,
        queue: row.try_get(8)?,
        origins: row.try_get(9)?,
        address: row.try_get(10)?,
        is_held: row.try_get(11)?,
    })
}

/// Whether replay is installed in this database at all. Source: the catalog.
///
/// # Errors
/// [`Error::Stranger`] where schema trunkline belongs to a role that may not act as this session's role.
pub async fn is_installed(client: &impl GenericClient) -> Result<bool, Error> {
    relation_exists(client, Schema::Trunkline, "position").await
}

/// The stored position of a consumer; none if `replay install` has not registered the consumer here.
pub async fn find(client: &impl GenericClient, consumer: &str) -> Result<Option<Stored>, Error> {
    let row = client
        .query_opt(
            "select epoch, tick_id, tick_tag, tables_version, paused, conflicts, last_error, \
                 extract(epoch from clock_timestamp() - tick_time)::float8, queue, origins::text, address, \
                 held_by is not null \
             from trunkline.position where consumer = $1",
            &[&consumer],
        )
        .await
        .map_err(Error::database("read the position"))?;
    row.as_ref()
        .map(stored)
        .transpose()
        .map_err(Error::database("read the position"))
}

/// How far a subscriber has applied its queue, and what it has there.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The position up to which everything is applied.
    pub position: Position,
    /// The tables, by their oids on the provider, that the subscriber has whole there: in sync, with all rows, columns
    /// and changes.
    pub whole: Vec<u32>,
}

/// What a consumer has applied; none if it is not registered here. Only `with_tables` reads which tables it has whole.
pub async fn applied(
    client: &impl GenericClient,
    consumer: &str,
    with_tables: bool,
) -> Result<Option<Applied>, Error> {
    let doing = || Error::database("read the position");
    let statement = if with_tables {
        "select p.epoch, p.tick_id, p.tick_tag, \
                array(select t.provider_oid from trunkline.table_state t \
                       where t.consumer = p.consumer and t.state = 'ok' \
                         and t.column_attnums is null and t.filter is null and t.ignored = 0) \
         from trunkline.position p where p.consumer = $1"
    } else {
        "select epoch, tick_id, tick_tag, '{}'::oid[] from trunkline.position where consumer = $1"
    };
    let row = client
        .query_opt(statement, &[&consumer])
        .await
        .map_err(doing())?;
    row.map(|row| {
        Ok(Applied {
            position: Position::of(&row).map_err(doing())?,
            whole: row.try_get(3).map_err(doing())?,
        })
    })
    .transpose()
}

/// Registers a consumer at a tick of the provider; false if it is registered already, and then its position stays.
pub async fn register(
    client: &impl GenericClient,
    consumer: &str,
    job: &str,
    queue: &str,
    at: Position,
) -> Result<bool, Error> {
    let made = client
        .execute(
            "insert into trunkline.position \
                 (consumer, job, queue, epoch, tick_id, tick_tag, tick_time) \
             values ($1, $2, $3, $4, $5, $6, clock_timestamp()) on conflict do nothing",
            &[
                &consumer,
                &job,
                &queue,
                &at.epoch.0,
                &at.tick.id.0,
                &at.tick.tag.0,
            ],
        )
        .await
        .map_err(Error::database("store the position"))?;
    Ok(made == 1)
}

/// The consumers of all jobs that write this database, by their names.
pub async fn consumers(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    let statement = "select consumer from trunkline.position order by consumer";
    let rows = client.query(statement, &[]).await;
    let rows = rows.map_err(Error::database("list the jobs that write this database"))?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// Forgets a consumer that has no tables, with its sequences and conflicts.
pub async fn remove(client: &impl GenericClient, consumer: &str) -> Result<(), Error> {
    record::forget_open(client, consumer).await?;
    client
        .execute(
            "with s as (delete from trunkline.sequence_state where consumer = $1), \
                  c as (delete from trunkline.conflict where consumer = $1), \
                  l as (delete from trunkline.left_upstream where consumer = $1), \
                  a as (delete from trunkline.applied_tick where consumer = $1) \
             delete from trunkline.position where consumer = $1",
            &[&consumer],
        )
        .await
        .map_err(Error::database("remove an old position"))?;
    Ok(())
}

/// Moves a consumer to another position and has all of its tables copied again, in one statement: the events that it
/// applied before belong to another history. Gives the number of tables.
pub async fn start_anew(
    client: &impl GenericClient,
    consumer: &str,
    at: Position,
) -> Result<u64, Error> {
    let tables: i64 = client
        .query_one(
            &format!(
                "with moved as ( \
                     update trunkline.position set epoch = $2, tick_id = $3, tick_tag = $4, \
                         origins = null, tick_time = clock_timestamp(), \
                         tables_version = tables_version + 1, \
                         last_error = null, last_error_at = null, last_error_advice = null \
                     where consumer = $1 returning consumer), \
                 stood as (delete from trunkline.applied_tick where consumer = $1), \
                 again as ( \
                     update trunkline.table_state s set existing = 'truncate', {COPIED_AGAIN} \
                     from moved where s.consumer = moved.consumer returning 1) \
                 select count(*) from again"
            ),
            &[&consumer, &at.epoch.0, &at.tick.id.0, &at.tick.tag.0],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("move the position"))?;
    Ok(u64::try_from(tables).unwrap_or_default())
}

/// Stores how a consumer's tables are written: capture in the same database asks for it.
pub async fn tell_session_role(
    client: &impl GenericClient,
    consumer: &str,
    role: SessionRole,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.position set session_role = $2 \
             where consumer = $1 and session_role is distinct from $2",
            &[&consumer, &role.as_str()],
        )
        .await
        .map_err(Error::database("store how the tables are written"))?;
    Ok(())
}

/// Pauses a consumer or ends the pause.
pub async fn pause(
    client: &impl GenericClient,
    consumer: &str,
    paused: bool,
) -> Result<bool, Error> {
    let changed = client
        .execute(
            "update trunkline.position set paused = $2 \
             where consumer = $1 and paused is distinct from $2",
            &[&consumer, &paused],
        )
        .await
        .map_err(Error::database(if paused {
            "pause the consumer"
        } else {
            "end the consumer's pause"
        }))?;
    Ok(changed == 1)
}

/// A move of the position, to be made in the transaction that applies the data.
#[derive(Clone, Debug)]
pub struct Move {
    /// The position that must still be the stored one.
    pub from: Position,
    /// The version of the list of tables that the batch was applied under.
    pub tables_version: i64,
    /// The tick that the batch ends with.
    pub to: Tick,
    /// When the last tick was made, by the provider's clock; none if the tick stays the same.
    pub to_time: Option<SystemTime>,
    /// Conflicts that were found while the batch was applied.
    pub conflicts: i64,
    /// What the tick contains of other nodes' queues, and the nodes that the changes come from. The origins count only
    /// if the tick does not stay the same.
    pub lineage: Lineage,
    /// The tick is to be kept in `trunkline.applied_tick`: others could follow the tables from this database.
    pub is_kept: bool,
}

/// The prepared compare-and-swap of one session.
pub struct Mover {
    /// For a tick that contains nothing of other nodes' queues, and changes of nodes that are stored as ones above.
    plain: Statement,
    /// For every move. Extending the path costs, also where there is nothing to extend.
    any: Statement,
    /// The same as `any`, which keeps the tick, too; prepared when it is needed first.
    keeping: OnceCell<Statement>,
}

impl Mover {
    /// Prepares the statements on a session to the subscriber.
    pub async fn prepare(client: &impl GenericClient) -> Result<Mover, Error> {
        Ok(Mover {
            plain: prepare(client, PLAIN).await?,
            any: prepare(client, &moving()).await?,
            keeping: OnceCell::new(),
        })
    }

    async fn keeping(&self, client: &impl GenericClient) -> Result<&Statement, Error> {
        let prepared = self.keeping.get_or_try_init(|| async {
            let keeping = format!(
                "with moved as ({} returning consumer, epoch) \
                 insert into trunkline.applied_tick (consumer, epoch, tick_id, tick_tag) \
                 select consumer, epoch, $6, $7 from moved \
                 on conflict (consumer, epoch, tick_id) \
                     do update set tick_tag = excluded.tick_tag, applied_at = excluded.applied_at",
                moving()
            );
            prepare(client, &keeping).await
        });
        prepared.await
    }

    /// Moves the position. False if the stored position is not where the move begins, if the list of tables has
    /// changed, or if a failover holds the job: then the transaction must not commit.
    pub async fn compare_and_swap(
        &self,
        client: &impl GenericClient,
        consumer: &str,
        step: &Move,
    ) -> Result<bool, Error> {
        let path = step.lineage.path.ids();
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![
            &consumer,
            &step.from.epoch.0,
            &step.from.tick.id.0,
            &step.from.tick.tag.0,
            &step.tables_version,
            &step.to.id.0,
            &step.to.tag.0,
            &step.to_time,
            &step.conflicts,
            &path,
        ];
        let moves = async |statement, values: &[&(dyn ToSql + Sync)]| {
            let moved = client.execute(statement, values).await;
            moved.map_err(Error::database("write the position"))
        };
        let is_plain = step.to_time.is_some() && step.lineage.origins.is_none() && !step.is_kept;
        if is_plain && moves(&self.plain, &values).await? == 1 {
            return Ok(true);
        }
        let statement = if step.is_kept {
            self.keeping(client).await?
        } else {
            &self.any
        };
        values.push(&step.lineage.origins);
        Ok(moves(statement, &values).await? == 1)
    }
}

const PLAIN: &str = "\
    update trunkline.position set tick_id = $6, tick_tag = $7, tick_time = $8, conflicts = conflicts + $9, \
        batch_rows = null, applied_at = clock_timestamp(), origins = null \
     where consumer = $1 and epoch = $2 and tick_id = $3 and tick_tag = $4 \
       and tables_version = $5 and held_by is null and coalesce(path, '{}') @> $10::bigint[]";

fn moving() -> String {
    format!(
        "update trunkline.position set tick_id = $6, tick_tag = $7, tick_time = coalesce($8, tick_time), \
             conflicts = conflicts + $9, batch_rows = null, applied_at = clock_timestamp(), \
             origins = case when $8::timestamptz is null then origins else $11::text::jsonb end, \
             path = {} \
         where consumer = $1 and epoch = $2 and tick_id = $3 and tick_tag = $4 \
           and tables_version = $5 and held_by is null",
        path::extended("$10")
    )
}

async fn prepare(client: &impl GenericClient, sql: &str) -> Result<Statement, Error> {
    let prepared = client.prepare(sql).await;
    prepared.map_err(Error::database("prepare to write the position"))
}

/// Shows how many rows the present batch has written so far; none: no batch takes long.
pub async fn show_progress(
    client: &impl GenericClient,
    consumer: &str,
    rows: Option<i64>,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.position set batch_rows = $2 \
             where consumer = $1 and batch_rows is distinct from $2",
            &[&consumer, &rows],
        )
        .await
        .map_err(Error::database("show how far a batch is"))?;
    Ok(())
}

/// Shows where the consumer's batches are read: the name of an archive; none: the queue.
pub async fn show_source(
    client: &impl GenericClient,
    consumer: &str,
    source: Option<&str>,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.position set source = $2 \
             where consumer = $1 and source is distinct from $2",
            &[&consumer, &source],
        )
        .await
        .map_err(Error::database("show where batches are read"))?;
    Ok(())
}

/// Why the loop does not go on.
#[derive(Clone, Copy, Debug)]
pub struct StoredError<'a> {
    /// The error in one line, without values of rows.
    pub text: &'a str,
    /// What somebody must do; none: the error may pass by itself.
    pub advice: Option<&'a str>,
}

/// Stores why the loop does not go on, for `status`; none if it goes on again.
pub async fn show_error(
    client: &impl GenericClient,
    consumer: &str,
    error: Option<StoredError<'_>>,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.position set last_error = $2, last_error_advice = $3, \
                 last_error_at = case when $2 is null then null else clock_timestamp() end \
             where consumer = $1 \
               and (last_error, last_error_advice) is distinct from ($2::text, $3::text)",
            &[
                &consumer,
                &error.map(|error| error.text),
                &error.and_then(|error| error.advice),
            ],
        )
        .await
        .map_err(Error::database("store why the loop does not go on"))?;
    Ok(())
}
