//! What a provider of the past has taken after the place where a later one has begun: kept for a person, who decides
//! how the node comes back. Through schema trunkline's functions only.

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::name::TableName;

/// A stretch of a log that the later provider never had, which is not kept yet.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// What is stored of it, as `trunkline.lost` has it.
    pub lost: Lost,
    /// The node that has become the provider.
    pub provider: i64,
    /// The query for its events; None: the log does not hold them any more.
    pub events_sql: Option<String>,
}

/// A stretch as it is stored and sent; the keys are the columns of `trunkline.lost`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Whose log it is.
    pub node_id: i64,
    /// What operators call that node.
    pub node_name: Option<String>,
    /// The log.
    pub epoch: i64,
    /// The last tick that the later provider has.
    pub tick_id: i64,
    /// That tick's tag.
    pub tick_tag: i64,
    /// The last tick of the stretch.
    pub upto_id: i64,
    /// That tick's tag.
    pub upto_tag: i64,
    /// The reign that began there.
    pub term: i64,
    /// The log held all of the stretch, and still tells that nothing followed.
    pub whole: bool,
    /// Where the changes are on the node's host, without the ending.
    pub file: Option<String>,
}

impl Lost {
    /// The place where the later provider began: the log and its tick.
    pub fn place(&self) -> (i64, i64) {
        (self.epoch, self.tick_id)
    }
}

/// One change; the keys are the columns of `trunkline.lost_change`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostChange {
    /// Its place in the order of all.
    pub number: i64,
    /// The table, in the database whose log it is.
    pub table_oid: u32,
    /// The table's schema.
    pub schema_name: String,
    /// The table's name.
    pub table_name: String,
    /// What the event says.
    pub change: String,
    /// The key as the log has it; None: the table has none, or the change is of no row.
    pub key_text: Option<String>,
    /// The names of the key's columns, in its order.
    pub key_columns: Option<Vec<String>>,
    /// The key, as an object.
    pub key: Option<Value>,
    /// The row after the change; None: it is gone, or not told.
    pub row_now: Option<Value>,
}

/// A kept stretch, without rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The queue.
    pub queue: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub lost: Lost,
    /// It is this node's own log.
    pub own: bool,
    /// The number of changes.
    pub changes: i64,
    /// The tables, with the number of changes of each.
    pub tables: String,
    /// When they were found: an RFC 3339 time in UTC.
    pub found: String,
    /// The provider has them, too.
    pub sent: bool,
    /// When the node was made to follow the later provider; None: it waits for a person.
    pub handled: Option<String>,
}

impl Finding {
    /// `12 changes of pollux after tick 7: public.t 10, public.u 2`.
    pub fn describe(&self) -> String {
        let lost = &self.lost;
        let node = lost.node_name.clone();
        let node = node.unwrap_or_else(|| format!("node {}", lost.node_id));
        if !lost.whole {
            return format!(
                "all that {node} has taken after tick {}: its log does not hold it any more, and {} changes are kept",
                lost.tick_id, self.changes
            );
        }
        format!(
            "{} changes of {node} after tick {}: {}",
            self.changes, lost.tick_id, self.tables
        )
    }
}

/// What this fenced node has to look through; None: nothing, or nothing new. Makes a tick. Source:
/// `trunkline.lost_stretch`.
pub async fn stretch(client: &impl GenericClient, queue: &str) -> Result<Option<Stretch>, Error> {
    let row = client
        .query_opt(
            "select own_id, own_name, epoch, tick_id, tick_tag, upto_id, upto_tag, term, node_id, events_sql \
               from trunkline.lost_stretch($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("look for what the later provider never had"))?;
    row.map(|row| {
        let events_sql: Option<String> = column(&row, 9)?;
        Ok(Stretch {
            lost: Lost {
                node_id: column(&row, 0)?,
                node_name: column(&row, 1)?,
                epoch: column(&row, 2)?,
                tick_id: column(&row, 3)?,
                tick_tag: column(&row, 4)?,
                upto_id: column(&row, 5)?,
                upto_tag: column(&row, 6)?,
                term: column(&row, 7)?,
                whole: events_sql.is_some(),
                file: None,
            },
            provider: column(&row, 8)?,
            events_sql,
        })
    })
    .transpose()
}

/// Where changes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// The node whose log they are of.
    Own,
    /// The provider of now.
    Provider,
}

/// Stores a portion of changes in the client's transaction; with the first one the stretch itself, in place of what was
/// stored of it. Source: `trunkline.keep_lost`, `trunkline.take_lost`.
///
/// # Errors
/// Those of the function; then nothing of the transaction holds.
pub async fn keep(
    client: &impl GenericClient,
    keeper: Keeper,
    queue: &str,
    lost: &Lost,
    changes: &[LostChange],
    is_first: bool,
) -> Result<(), Error> {
    let function = match keeper {
        Keeper::Own => "keep_lost",
        Keeper::Provider => "take_lost",
    };
    let json = |error| Error::Unexpected(format!("a change is no JSON: {error}"));
    let lost = serde_json::to_string(lost).map_err(json)?;
    let changes = serde_json::to_string(changes).map_err(json)?;
    client
        .execute(
            &format!("select trunkline.{function}($1, $2::text::jsonb, $3::text::jsonb, $4)"),
            &[&queue, &lost, &changes, &is_first],
        )
        .await
        .map_err(Error::database("keep what the later provider never had"))?;
    Ok(())
}

/// Whether this install keeps such changes.
pub async fn is_installed(client: &impl GenericClient) -> Result<bool, Error> {
    function_exists(client, Schema::Trunkline, "lost_findings(text)").await
}

/// The kept stretches of a queue, or of all, the newest first; empty where no roles are installed. Needs pgq_reader.
/// Source: `trunkline.lost_findings`.
pub async fn findings(
    client: &impl GenericClient,
    queue: Option<&str>,
) -> Result<Vec<Finding>, Error> {
    if !is_installed(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, node_id, node_name, epoch, tick_id, tick_tag, upto_id, upto_tag, term, whole, file, \
                    is_own, changes, tables, \
                    pg_catalog.to_char(found_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), sent, \
                    pg_catalog.to_char(handled_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') \
               from trunkline.lost_findings($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("list lost changes"))?;
    rows.iter()
        .map(|row| {
            Ok(Finding {
                queue: column(row, 0)?,
                lost: Lost {
                    node_id: column(row, 1)?,
                    node_name: column(row, 2)?,
                    epoch: column(row, 3)?,
                    tick_id: column(row, 4)?,
                    tick_tag: column(row, 5)?,
                    upto_id: column(row, 6)?,
                    upto_tag: column(row, 7)?,
                    term: column(row, 8)?,
                    whole: column(row, 9)?,
                    file: column(row, 10)?,
                },
                own: column(row, 11)?,
                changes: column(row, 12)?,
                tables: column(row, 13)?,
                found: column(row, 14)?,
                sent: column(row, 15)?,
                handled: column(row, 16)?,
            })
        })
        .collect()
}

/// At most `limit` changes of a stretch that come after a number, in their order. For the schema's owner. Source:
/// `trunkline.lost_change`.
pub async fn changes(
    client: &impl GenericClient,
    queue: &str,
    (epoch, tick): (i64, i64),
    after: i64,
    limit: i64,
) -> Result<Vec<LostChange>, Error> {
    let rows = client
        .query(
            "select number, table_oid, schema_name, table_name, change, key_text, key_columns, \
                      key::text, row_now::text \
               from trunkline.lost_change \
              where queue_name = $1 and epoch = $2 and tick_id = $3 and number > $4 order by number limit $5",
            &[&queue, &epoch, &tick, &after, &limit],
        )
        .await
        .map_err(Error::database("read lost changes"))?;
    let object = |text: Option<String>| {
        let read = text.as_deref().map(serde_json::from_str).transpose();
        read.map_err(|error| Error::Unexpected(format!("a lost change is no JSON: {error}")))
    };
    rows.iter()
        .map(|row| {
            Ok(LostChange {
                number: column(row, 0)?,
                table_oid: column(row, 1)?,
                schema_name: column(row, 2)?,
                table_name: column(row, 3)?,
                change: column(row, 4)?,
                key_text: column(row, 5)?,
                key_columns: column(row, 6)?,
                key: object(column(row, 7)?)?,
                row_now: object(column(row, 8)?)?,
            })
        })
        .collect()
}

/// Notes that the provider has the changes of a stretch. Source: `trunkline.lost`.
pub async fn note_sent(
    client: &impl GenericClient,
    queue: &str,
    (epoch, tick): (i64, i64),
    upto: i64,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.lost set sent_at = pg_catalog.clock_timestamp() \
              where queue_name = $1 and epoch = $2 and tick_id = $3 and upto_id = $4 and sent_at is null",
            &[&queue, &epoch, &tick, &upto],
        )
        .await
        .map_err(Error::database("note that the provider has the lost changes"))?;
    Ok(())
}

/// A table of the queue, and what was written to it after the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Its oid here.
    pub oid: u32,
    /// Its name here.
    pub table: TableName,
    /// The number of changes.
    pub changes: i64,
    /// What the events say, each word once.
    pub kinds: Vec<String>,
    /// Each change is of a row with a key, and the key's columns are the same ones in all of them.
    pub has_keys: bool,
    /// The newest shape of its rows here.
    pub shape: Option<String>,
}

/// The tables that are captured for a queue, with the changes of a stretch. For the schema's owner. Source:
/// `trunkline.lost_change`, `trunkline.captured`.
pub async fn touched(
    client: &impl GenericClient,
    queue: &str,
    (epoch, tick): (i64, i64),
) -> Result<Vec<Touched>, Error> {
    let rows = client
        .query(
            "select c.table_oid, n.nspname::text, r.relname::text, pg_catalog.count(l.number), \
                    coalesce(pg_catalog.array_agg(distinct l.change order by l.change) \
                                 filter (where l.change is not null), '{}'), \
                    coalesce(pg_catalog.bool_and(l.key_text is not null or l.change = 'filled'), true) \
                        and pg_catalog.count(distinct l.key_columns) <= 1, \
                    (select s.definition::text from trunkline.shape s where s.table_oid = c.table_oid \
                      order by s.shape_id desc limit 1) \
               from trunkline.captured c \
               join pgq.queue q on q.queue_id = c.queue_id \
               join pg_catalog.pg_class r on r.oid = c.table_oid \
               join pg_catalog.pg_namespace n on n.oid = r.relnamespace \
               left join trunkline.lost_change l on l.table_oid = c.table_oid and l.queue_name = q.queue_name \
                and l.epoch = $2 and l.tick_id = $3 \
              where q.queue_name = $1 and c.dropped_at is null \
              group by c.table_oid, n.nspname, r.relname order by 2, 3",
            &[&queue, &epoch, &tick],
        )
        .await
        .map_err(Error::database("look for the tables of lost changes"))?;
    rows.iter()
        .map(|row| {
            Ok(Touched {
                oid: column(row, 0)?,
                table: TableName::new(column::<String>(row, 1)?, column::<String>(row, 2)?),
                changes: column(row, 3)?,
                kinds: column(row, 4)?,
                has_keys: column(row, 5)?,
                shape: column(row, 6)?,
            })
        })
        .collect()
}

/// Makes this fenced node a standby of the later provider, and gives up what it has written since; gives that
/// provider's term. `tables`: how each table that was written comes into step again, as JSON. Source:
/// `trunkline.rejoin`.
///
/// # Errors
/// Those of the function; then nothing has changed.
pub async fn rejoin(
    client: &impl GenericClient,
    queue: &str,
    (consumer, job): (&str, &str),
    address: Option<&str>,
    upto: i64,
    tables: &str,
) -> Result<i64, Error> {
    let row = client
        .query_one(
            "select trunkline.rejoin($1, $2, $3, $4, $5, $6::text::jsonb)",
            &[&queue, &consumer, &job, &address, &upto, &tables],
        )
        .await
        .map_err(Error::database(format!("join the set of queue {queue}")))?;
    column(&row, 0)
}
