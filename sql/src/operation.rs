//! What moves the provider of a set from one node to another: its row, which is the same on both nodes, and the calls
//! that it is made of. Reads and changes all through schema trunkline's functions.

use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::queue::lineage::NodeId;
use crate::subscriber::position::Position;

/// How far an operation is on a node; the SQL has the same words, and the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing has changed.
    Prepare,
    /// Of a failover: the node is held where it stands.
    Freeze,
    /// The old provider may be being fenced.
    Fence,
    /// The old provider is fenced by the operation, and its row has the final tick.
    CatchUp,
    /// The new provider may be being promoted.
    Promote,
    /// The new provider is the provider.
    Promoted,
    /// The new provider's tables are being opened.
    Open,
    /// The other nodes turn to the new provider.
    Follow,
    /// The operation is over.
    Done,
    /// The operation was given up.
    Aborted,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Step; 10] = [
        Step::Prepare,
        Step::Freeze,
        Step::Fence,
        Step::CatchUp,
        Step::Promote,
        Step::Promoted,
        Step::Open,
        Step::Follow,
        Step::Done,
        Step::Aborted,
    ];

    /// The step's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Prepare => "prepare",
            Step::Freeze => "freeze",
            Step::Fence => "fence",
            Step::CatchUp => "catch-up",
            Step::Promote => "promote",
            Step::Promoted => "promoted",
            Step::Open => "open",
            Step::Follow => "follow",
            Step::Done => "done",
            Step::Aborted => "aborted",
        }
    }

    fn of(word: &str) -> Result<Step, Error> {
        let mut all = Step::ALL.into_iter();
        all.find(|step| step.as_str() == word)
            .ok_or_else(|| Error::Unexpected(format!("an operation's step is {word}")))
    }
}

/// How an operation moves the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As planned: nothing is lost.
    Switchover,
    /// From a provider that is off: what nobody has of it is lost.
    Failover,
}

impl Kind {
    /// The word, which is also that of the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Switchover => "switchover",
            Kind::Failover => "failover",
        }
    }

    fn of(word: &str) -> Result<Kind, Error> {
        match word {
            "switchover" => Ok(Kind::Switchover),
            "failover" => Ok(Kind::Failover),
            other => Err(Error::Unexpected(format!("an operation's kind is {other}"))),
        }
    }
}

/// The number of an operation, the same on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationId(pub i64);

/// A node that has a part in an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its identity.
    pub node: NodeId,
    /// What operators call it.
    pub name: Option<String>,
}

impl Part {
    /// The name, or the number where there is none.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.node.to_string())
    }
}

/// An operation as a node knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The queue whose name the set has.
    pub queue: String,
    /// Its number.
    pub id: OperationId,
    /// How it moves the provider.
    pub kind: Kind,
    /// The provider before.
    pub old: Part,
    /// The provider afterwards.
    pub new: Part,
    /// The provider before was fenced already when the operation began.
    pub was_fenced: bool,
    /// How far it is on this node.
    pub step: Step,
    /// The role of the server that began it.
    pub started_by: String,
    /// Seconds since it began, by the server's clock.
    pub seconds: f64,
    /// Seconds since the command that does it has said something.
    pub quiet_seconds: f64,
}

impl Operation {
    /// Whether it is not over on this node.
    pub fn is_running(&self) -> bool {
        !matches!(self.step, Step::Done | Step::Aborted)
    }
}

/// The operations of this node's sets, or of one of them, the running one first; empty where none are installed. Needs
/// pgq_reader. Source: `trunkline.operations`.
pub async fn list(
    client: &impl GenericClient,
    queue: Option<&str>,
) -> Result<Vec<Operation>, Error> {
    if !function_exists(client, Schema::Trunkline, "operations(text)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, operation_id, kind, old_node, old_name, new_node, new_name, was_fenced, step, \
                    started_by, seconds, quiet_seconds \
               from trunkline.operations($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask for the operations of this node"))?;
    rows.iter().map(operation).collect()
}

fn operation(row: &Row) -> Result<Operation, Error> {
    let part = |node, name| {
        Ok::<_, Error>(Part {
            node: NodeId(column(row, node)?),
            name: column(row, name)?,
        })
    };
    Ok(Operation {
        queue: column(row, 0)?,
        id: OperationId(column(row, 1)?),
        kind: Kind::of(column(row, 2)?)?,
        old: part(3, 4)?,
        new: part(5, 6)?,
        was_fenced: column(row, 7)?,
        step: Step::of(column(row, 8)?)?,
        started_by: column(row, 9)?,
        seconds: column(row, 10)?,
        quiet_seconds: column(row, 11)?,
    })
}

/// A number for a new operation. Source: `pgq.random_id`.
pub async fn new_id(client: &impl GenericClient) -> Result<OperationId, Error> {
    let row = client
        .query_one("select pgq.random_id()", &[])
        .await
        .map_err(Error::database("number the operation"))?;
    Ok(OperationId(column(&row, 0)?))
}

/// What an operation is to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The queue whose name the set has.
    pub queue: String,
    /// The operation's number.
    pub id: OperationId,
    /// How it moves the provider.
    pub kind: Kind,
    /// The provider before.
    pub old: Part,
    /// The provider afterwards.
    pub new: Part,
    /// The provider before is fenced already, and stays so if the operation is given up.
    pub was_fenced: bool,
}

/// Notes on one of the two nodes that a switchover begins. Source: `trunkline.begin_operation`.
///
/// # Errors
/// Those of the function: `55006` another operation runs, `55000` the node's role is not fit for its part.
pub async fn begin(client: &impl GenericClient, plan: &Plan) -> Result<(), Error> {
    let Plan { old, new, .. } = plan;
    client
        .execute(
            "select trunkline.begin_operation($1, $2, 'switchover', $3, $4, $5, $6, $7)",
            &[
                &plan.queue,
                &plan.id.0,
                &old.node.0,
                &old.name,
                &new.node.0,
                &new.name,
                &plan.was_fenced,
            ],
        )
        .await
        .map_err(Error::database(format!(
            "begin an operation of queue {}",
            plan.queue
        )))?;
    Ok(())
}

/// Locks the row of a running operation until the transaction ends. Source: `trunkline.hold_operation`.
///
/// # Errors
/// `55000` the operation is over, or not known.
pub async fn hold(client: &impl GenericClient, queue: &str, id: OperationId) -> Result<(), Error> {
    client
        .execute("select trunkline.hold_operation($1, $2)", &[&queue, &id.0])
        .await
        .map_err(Error::database(format!(
            "hold the operation of queue {queue}"
        )))?;
    Ok(())
}

/// Notes which step is begun on a node; gives the step that is stored then, which may be a later one. With the same
/// step again it says that the command still works at it. Source: `trunkline.step_operation`.
///
/// # Errors
/// As [`hold`].
pub async fn step(
    client: &impl GenericClient,
    queue: &str,
    id: OperationId,
    step: Step,
    last: Option<Position>,
) -> Result<Step, Error> {
    let epoch = last.map(|last| last.epoch.0);
    let tick = last.map(|last| last.tick.id.0);
    let tag = last.map(|last| last.tick.tag.0);
    let row = client
        .query_one(
            "select trunkline.step_operation($1, $2, $3, $4, $5, $6)",
            &[&queue, &id.0, &step.as_str(), &epoch, &tick, &tag],
        )
        .await
        .map_err(Error::database(format!(
            "note step {} of the operation of queue {queue}",
            step.as_str()
        )))?;
    Step::of(column(&row, 0)?)
}

/// Gives an operation up on a node; false: it is too late, the new node is the provider. Source:
/// `trunkline.refuse_operation`.
pub async fn abort(client: &impl GenericClient, plan: &Plan, why: &str) -> Result<bool, Error> {
    let Plan {
        queue, old, new, ..
    } = plan;
    let row = client
        .query_one(
            "select trunkline.refuse_operation($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                &queue,
                &plan.id.0,
                &plan.kind.as_str(),
                &old.node.0,
                &old.name,
                &new.node.0,
                &new.name,
                &plan.was_fenced,
                &why,
            ],
        )
        .await
        .map_err(Error::database(format!(
            "give up the operation of queue {queue}"
        )))?;
    column(&row, 0)
}

/// Notes that an operation is done, as far as this node goes. Source: `trunkline.end_operation`.
///
/// # Errors
/// `55000` the new node is not promoted.
pub async fn end(client: &impl GenericClient, queue: &str, id: OperationId) -> Result<(), Error> {
    client
        .execute("select trunkline.end_operation($1, $2)", &[&queue, &id.0])
        .await
        .map_err(Error::database(format!(
            "end the operation of queue {queue}"
        )))?;
    Ok(())
}

/// Why something cannot be done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What stands in the way.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What keeps this provider from being fenced, however long one waits. Source: `trunkline.fence_obstacles`.
pub async fn fence_obstacles(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Vec<Obstacle>, Error> {
    let rows = client
        .query(
            "select reason, hint from trunkline.fence_obstacles($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database(format!(
            "ask what keeps queue {queue} from a fence"
        )))?;
    rows.iter().map(obstacle).collect()
}

/// What keeps this node from becoming the provider. `set`: what the provider has ([`set_state`]), so that nothing of it
/// is missing here; None: that is not looked at. Source: `trunkline.not_promotable`.
pub async fn not_promotable(
    client: &impl GenericClient,
    queue: &str,
    set: Option<&str>,
) -> Result<Vec<Obstacle>, Error> {
    let rows = client
        .query(
            "select reason, hint from trunkline.not_promotable($1, $2::text::jsonb)",
            &[&queue, &set],
        )
        .await
        .map_err(Error::database(format!(
            "ask what keeps the node from being the provider of queue {queue}"
        )))?;
    rows.iter().map(obstacle).collect()
}

fn obstacle(row: &Row) -> Result<Obstacle, Error> {
    Ok(Obstacle {
        reason: column(row, 0)?,
        hint: column(row, 1)?,
    })
}

/// How many tables and partitions a fence of a node locks, and how many locks its server is sure to have room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetSize {
    /// Tables and partitions.
    pub relations: i32,
    /// Locks.
    pub locks: i64,
}

/// The size of a set on this node. Source: `trunkline.set_size`.
pub async fn set_size(client: &impl GenericClient, queue: &str) -> Result<SetSize, Error> {
    let row = client
        .query_one(
            "select relations, locks from trunkline.set_size($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database(format!(
            "count the tables of queue {queue}"
        )))?;
    Ok(SetSize {
        relations: column(&row, 0)?,
        locks: column(&row, 1)?,
    })
}

/// What a provider has, its tables and the values of its sequences, as JSON for [`not_promotable`] and [`promote`].
/// Once it is fenced, nothing of that changes. Source: `trunkline.set_state`.
pub async fn set_state(client: &impl GenericClient, queue: &str) -> Result<String, Error> {
    let row = client
        .query_one("select trunkline.set_state($1)::text", &[&queue])
        .await
        .map_err(Error::database(format!(
            "ask what is in the set of queue {queue}"
        )))?;
    column(&row, 0)
}

/// A node that has become the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promoted {
    /// The reign that has begun.
    pub term: i64,
    /// Where the node's log begins.
    pub begins: Position,
    /// Tables that refuse writes still.
    pub tables_left: i32,
}

/// Makes a standby the provider: the commit is the point of no return. Called again, it gives the same answer. Source:
/// `trunkline.promote`.
///
/// `last`: where the log of the provider before ends. `set`: what that one has ([`set_state`]); None, for a failover.
///
/// # Errors
/// Those of the function: `55P03` others hold locks, to be tried again; `55000` the node is not promotable, or the
/// operation is over. An error of the server has changed nothing. Without an answer the node may be promoted.
pub async fn promote(
    client: &impl GenericClient,
    plan: &Plan,
    last: Position,
    set: Option<&str>,
) -> Result<Promoted, Error> {
    let Plan {
        queue, id, kind, ..
    } = plan;
    let doing = || Error::database(format!("make the node the provider of queue {queue}"));
    let row = client
        .query_one(
            "select epoch, tick_id, tick_tag, term, tables_left \
               from trunkline.promote($1, $2, $7, $3, $4, $5, $6::text::jsonb)",
            &[
                &queue,
                &id.0,
                &last.epoch.0,
                &last.tick.id.0,
                &last.tick.tag.0,
                &set,
                &kind.as_str(),
            ],
        )
        .await
        .map_err(doing())?;
    Ok(Promoted {
        term: column(&row, 3)?,
        begins: Position::of(&row).map_err(doing())?,
        tables_left: column(&row, 4)?,
    })
}
