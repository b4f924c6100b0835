//! What a node is in the sets of its queues, and the fence that keeps writers out of a set's tables. Reads and changes
//! both through schema trunkline's functions only.

use serde::Deserialize;
use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::subscriber::position::Position;

/// The role of a node in a set; the SQL has the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The node takes the writes.
    Provider,
    /// The node was the provider and takes no writes.
    Fenced,
    /// The node applies what the provider writes, and could become it.
    Standby,
    /// The node applies what the provider writes, and never becomes it.
    Reader,
    /// The database was restored elsewhere, and is none of these until somebody has said what it is.
    Copy,
}

impl Role {
    /// The role's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Provider => "provider",
            Role::Fenced => "fenced",
            Role::Standby => "standby",
            Role::Reader => "reader",
            Role::Copy => "copy",
        }
    }

    pub(crate) fn of(word: &str) -> Result<Role, Error> {
        [
            Role::Provider,
            Role::Fenced,
            Role::Standby,
            Role::Reader,
            Role::Copy,
        ]
        .into_iter()
        .find(|role| role.as_str() == word)
        .ok_or_else(|| Error::Unexpected(format!("a node's role is {word}")))
    }
}

/// What a node is in one set.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRole {
    /// The queue whose name the set has.
    pub queue: String,
    /// The role.
    pub role: Role,
    /// Seconds since the role became this one, by the server's clock.
    pub seconds: f64,
    /// The reign that the role belongs to: each promotion adds one.
    pub term: i64,
    /// Why the node was fenced, if somebody has said why.
    pub reason: Option<String>,
    /// The role of the server that fenced or unfenced the node, or made it the first provider.
    pub set_by: String,
    /// The tick that shows all that was written before the fence; None: the node is not fenced.
    pub final_tick: Option<i64>,
    /// Some tables of this provider may still refuse writes.
    pub opening: bool,
}

/// What this node is in each of its sets; empty for a plain provider or subscriber. Source: `trunkline.my_role`.
pub async fn list(client: &impl GenericClient) -> Result<Vec<NodeRole>, Error> {
    if !function_exists(client, Schema::Trunkline, "my_role(text)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, role, greatest(0, extract(epoch from pg_catalog.clock_timestamp() - since))::float8, \
                    term, reason, set_by, final_tick_id, opening \
               from trunkline.my_role()",
            &[],
        )
        .await
        .map_err(Error::database("ask for the roles of this node"))?;
    rows.iter()
        .map(|row| {
            Ok(NodeRole {
                queue: column(row, 0)?,
                role: Role::of(column(row, 1)?)?,
                seconds: column(row, 2)?,
                term: column(row, 3)?,
                reason: column(row, 4)?,
                set_by: column(row, 5)?,
                final_tick: column(row, 6)?,
                opening: column(row, 7)?,
            })
        })
        .collect()
}

/// Whether this database was restored elsewhere, and nobody has said since what it is; false where no roles are
/// installed. Source: `trunkline.is_copy`.
pub async fn is_copy(client: &impl GenericClient) -> Result<bool, Error> {
    if !function_exists(client, Schema::Trunkline, "is_copy()").await? {
        return Ok(false);
    }
    let row = client
        .query_one("select trunkline.is_copy()", &[])
        .await
        .map_err(Error::database("ask whether this database is a copy"))?;
    column(&row, 0)
}

/// Whether applications write the tables of this queue in this database: the node is the set's provider, or a plain
/// one. False where Trunkline is not installed. Source: `trunkline.serves`.
pub async fn serves(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    if !function_exists(client, Schema::Trunkline, "serves(text)").await? {
        return Ok(false);
    }
    let row = client
        .query_one("select trunkline.serves($1)", &[&queue])
        .await
        .map_err(Error::database(format!(
            "ask whether this node serves queue {queue}"
        )))?;
    column(&row, 0)
}

/// Writes a row, and so finds out whether the disk takes any. Source: `trunkline.probe_write`.
pub async fn probe_write(client: &impl GenericClient) -> Result<(), Error> {
    client
        .execute("select trunkline.probe_write()", &[])
        .await
        .map_err(Error::database("write a row"))?;
    Ok(())
}

/// A fence that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The fence was made by this call; false: it stood already.
    pub is_new: bool,
    /// The tick that shows all that was written before, and its queue.
    pub last: Position,
    /// Tables that refuse writes, partitions counted.
    pub tables: i32,
    /// `default_transaction_read_only` of the database is on by the fence.
    pub read_only: bool,
}

/// Has a provider take no more writes of a set's tables. One call waits for writers a moment only: it is repeated while
/// its error is a lock timeout. `read_only`: `default_transaction_read_only` of the database is switched on; None: if
/// that was asked for before. Source: `trunkline.fence`.
///
/// # Errors
/// [`Error::NotInstalled`], or those of the function: `55P03` names in its detail who keeps the fence from the locks.
/// An error of the server has changed nothing. Without an answer of the server the fence may stand; a further call says
/// so.
pub async fn fence(
    client: &impl GenericClient,
    queue: &str,
    reason: Option<&str>,
    read_only: Option<bool>,
) -> Result<Fence, Error> {
    require(client, "fence(text, text, boolean)").await?;
    let doing = || Error::database(format!("fence queue {queue}"));
    let row = client
        .query_one(
            "select epoch, tick_id, tick_tag, done, tables, read_only from trunkline.fence($1, $2, $3)",
            &[&queue, &reason, &read_only],
        )
        .await
        .map_err(doing())?;
    Ok(Fence {
        last: Position::of(&row).map_err(doing())?,
        is_new: column(&row, 3)?,
        tables: column(&row, 4)?,
        read_only: column(&row, 5)?,
    })
}

/// A session that kept a fence from a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedWriter {
    /// Its process, program and role, since when its transaction is open, and the lock.
    pub what: String,
    /// Why it could not be told to end; None: it was.
    pub error: Option<String>,
}

/// Ends the sessions that keep a fence from the locks of a set's tables: what they have not committed is rolled back.
/// Source: `trunkline.end_writers`.
///
/// # Errors
/// As [`fence`].
pub async fn end_writers(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Vec<EndedWriter>, Error> {
    require(client, "end_writers(text)").await?;
    let rows = client
        .query(
            "select coalesce(what, ''), error from trunkline.end_writers($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database(format!("end the writers of queue {queue}")))?;
    let ended = |row: &Row| {
        Ok(EndedWriter {
            what: column(row, 0)?,
            error: column(row, 1)?,
        })
    };
    rows.iter().map(ended).collect()
}

/// What taking a fence away has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfenced {
    /// The node was fenced until this call.
    pub is_new: bool,
    /// Tables that refuse writes still, because others held their locks.
    pub tables_left: i32,
}

/// Makes a fenced node the provider again. `force`: although another node was heard of with a higher term.
/// Source: `trunkline.unfence`.
///
/// # Errors
/// As [`fence`].
pub async fn unfence(
    client: &impl GenericClient,
    queue: &str,
    force: bool,
) -> Result<Unfenced, Error> {
    require(client, "unfence(text, boolean)").await?;
    let row = client
        .query_one(
            "select done, tables_left from trunkline.unfence($1, $2)",
            &[&queue, &force],
        )
        .await
        .map_err(Error::database(format!("unfence queue {queue}")))?;
    Ok(Unfenced {
        is_new: column(&row, 0)?,
        tables_left: column(&row, 1)?,
    })
}

/// Has further tables of a provider take writes; gives how many are left. Source: `trunkline.open_tables`.
pub async fn open_tables(client: &impl GenericClient, queue: &str) -> Result<i32, Error> {
    let row = client
        .query_one("select trunkline.open_tables($1)", &[&queue])
        .await
        .map_err(Error::database(format!("open the tables of queue {queue}")))?;
    column(&row, 0)
}

/// Makes a plain database with this queue the first provider of the queue's set; false: it has a role.
/// Source: `trunkline.begin_set`.
///
/// # Errors
/// [`Error::NotInstalled`], or those of the function.
pub async fn begin_set(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    require(client, "begin_set(text)").await?;
    let row = client
        .query_one("select trunkline.begin_set($1)", &[&queue])
        .await
        .map_err(Error::database(format!("begin the set of queue {queue}")))?;
    column(&row, 0)
}

/// Says what this node is called; false: it is called so already. Source: `trunkline.name_node`.
///
/// # Errors
/// As [`begin_set`].
pub async fn name_node(client: &impl GenericClient, name: &str) -> Result<bool, Error> {
    require(client, "name_node(text)").await?;
    let row = client
        .query_one("select trunkline.name_node($1)", &[&name])
        .await
        .map_err(Error::database("name this node"))?;
    column(&row, 0)
}

/// Says by which number programs know this node, and how clients reach it; None: that stays as it is. False: nothing is
/// new. Source: `trunkline.describe_node`.
///
/// # Errors
/// As [`begin_set`].
pub async fn describe_node(
    client: &impl GenericClient,
    number: Option<i32>,
    connection: Option<&str>,
) -> Result<bool, Error> {
    require(client, "describe_node(integer, text)").await?;
    let row = client
        .query_one(
            "select trunkline.describe_node($1, $2)",
            &[&number, &connection],
        )
        .await
        .map_err(Error::database("describe this node"))?;
    column(&row, 0)
}

/// Says which of several standbys that are equally far becomes the provider at a failover: the highest, and never one
/// of 0; false: that is known. Source: `trunkline.prefer_node`.
///
/// # Errors
/// As [`begin_set`].
pub async fn prefer_node(client: &impl GenericClient, priority: i32) -> Result<bool, Error> {
    require(client, "prefer_node(integer)").await?;
    let row = client
        .query_one("select trunkline.prefer_node($1)", &[&priority])
        .await
        .map_err(Error::database("note how much this node is preferred"))?;
    column(&row, 0)
}

/// Says as what this node's replay reads a queue from a provider, for the time when it comes back from being the
/// provider; false: that is known. Source: `trunkline.note_consumer`.
///
/// # Errors
/// As [`begin_set`].
pub async fn note_consumer(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
) -> Result<bool, Error> {
    require(client, "note_consumer(text, text)").await?;
    let row = client
        .query_one(
            "select trunkline.note_consumer($1, $2)",
            &[&queue, &consumer],
        )
        .await
        .map_err(Error::database("note as what this node reads"))?;
    column(&row, 0)
}

/// Whether a standby logs what replay writes there.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// It is to.
    pub relays: bool,
    /// It was not so before.
    pub changed: bool,
    /// What keeps it from it; None: nothing does, or nobody could need the log.
    pub why: Option<String>,
}

/// Has a standby log what replay writes there, or not any more, as the set needs it now; `may` false: never.
/// Source: `trunkline.relay`.
///
/// # Errors
/// 55P03 while others are at the queue: the next call does it.
pub async fn relay(client: &impl GenericClient, queue: &str, may: bool) -> Result<Relay, Error> {
    require(client, "relay(text, boolean)").await?;
    let row = client
        .query_one(
            "select relays, changed, why from trunkline.relay($1, $2)",
            &[&queue, &may],
        )
        .await
        .map_err(Error::database(format!(
            "have the standby log for others of queue {queue}"
        )))?;
    Ok(Relay {
        relays: column(&row, 0)?,
        changed: column(&row, 1)?,
        why: column(&row, 2)?,
    })
}

/// Makes a subscriber of this queue a standby; false: it was one. `read_only` also switches
/// `default_transaction_read_only` of the database on. Source: `trunkline.stand_by`.
///
/// # Errors
/// As [`begin_set`].
pub async fn stand_by(
    client: &impl GenericClient,
    queue: &str,
    term: i64,
    read_only: bool,
) -> Result<bool, Error> {
    require(client, "stand_by(text, bigint, boolean)").await?;
    let row = client
        .query_one(
            "select trunkline.stand_by($1, $2, $3)",
            &[&queue, &term, &read_only],
        )
        .await
        .map_err(Error::database(format!(
            "make the subscriber a standby of queue {queue}"
        )))?;
    column(&row, 0)
}

/// Has the tables of a standby refuse writes, as many as are not locked by others; gives how many are left.
/// Source: `trunkline.follow_role`.
pub async fn follow_role(client: &impl GenericClient, queue: &str) -> Result<i32, Error> {
    let row = client
        .query_one("select trunkline.follow_role($1)", &[&queue])
        .await
        .map_err(Error::database(format!(
            "have the tables of queue {queue} refuse writes"
        )))?;
    column(&row, 0)
}

/// Makes a standby a plain subscriber again; false: it was none. The session's `lock_timeout` limits the wait for each
/// table. Source: `trunkline.leave_standby`.
pub async fn leave_standby(client: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    let row = client
        .query_one("select trunkline.leave_standby($1)", &[&queue])
        .await
        .map_err(Error::database(format!(
            "make the subscriber of queue {queue} a plain one"
        )))?;
    column(&row, 0)
}

/// A table that does not refuse, or does refuse, writes against its node's role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceProblem {
    /// The queue whose name the set has.
    pub queue: String,
    /// The table or partition, quoted where it must be; None: the problem is the database's.
    pub table: Option<String>,
    /// What is wrong, to go behind the table's name.
    pub problem: String,
}

/// Where this node's tables are not as its roles ask. Needs pgq_reader. Source: `trunkline.fence_problems`.
pub async fn fence_problems(client: &impl GenericClient) -> Result<Vec<FenceProblem>, Error> {
    let rows = client
        .query(
            "select queue_name, table_name, problem from trunkline.fence_problems()",
            &[],
        )
        .await
        .map_err(Error::database("look at the fence"))?;
    let problem = |row: &Row| {
        Ok(FenceProblem {
            queue: column(row, 0)?,
            table: column(row, 1)?,
            problem: column(row, 2)?,
        })
    };
    rows.iter().map(problem).collect()
}

/// Errors: schema trunkline is a stranger's, or has no function of this name and arguments.
pub(crate) async fn require(client: &impl GenericClient, function: &str) -> Result<(), Error> {
    if function_exists(client, Schema::Trunkline, function).await? {
        return Ok(());
    }
    Err(Error::NotInstalled {
        schema: Schema::Trunkline.name(),
    })
}
