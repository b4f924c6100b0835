//! Nodes of a set meet: each says what it is, hears the other, and is answered. Source: schema trunkline's functions.

use serde::Deserialize;
use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::provider;
use crate::queue::lineage::NodeId;
use crate::queue::tick::Epoch;
use crate::role::{self, Role};
use crate::subscriber::position;

/// What a node says of itself; the keys are those of `trunkline.introduce`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Introduction {
    /// The node's identity; None: its schema came with a dump.
    pub node: Option<NodeId>,
    /// What operators call the node.
    pub name: Option<String>,
    /// When its server was started. Two of them with one identity are two servers.
    pub started: String,
    /// The server takes no writes at all: it is a physical copy of another node.
    pub in_recovery: bool,
    /// The role; None: a plain database.
    pub role: Option<Role>,
    /// The reign that the role belongs to.
    pub term: Option<i64>,
    /// The identity of the node's queue; None: it has none.
    pub epoch: Option<Epoch>,
    /// The node that it reads from.
    pub upstream: Option<NodeId>,
    /// It is fenced, and another node has become the provider where its log ends.
    #[serde(default)]
    pub ended: bool,
    /// It is fenced, and has written after the place where another node has become the provider.
    #[serde(default)]
    pub ahead: bool,
    /// The other nodes, as it has last heard of each.
    #[serde(default)]
    pub members: Vec<Word>,
    /// Nodes that somebody has taken out of the set.
    #[serde(default)]
    pub removed: Vec<Removed>,
    /// The highest term that it has heard of.
    pub known_term: Option<i64>,
    /// The first provider of the set, which tells it from another one of the same name.
    pub set: Option<NodeId>,
    /// Which programs know the node by this number.
    #[serde(default)]
    pub number: Option<i32>,
    /// Which of several standbys that are equally far becomes the provider: the highest, and never one of 0.
    #[serde(default = "usual_priority")]
    pub priority: i32,
    /// The providers of the set, one row a reign, as far as the node has heard.
    #[serde(default)]
    pub history: Vec<Reign>,
}

fn usual_priority() -> i32 {
    100
}

/// Which node became the provider; the keys are those of `trunkline.history`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reign {
    /// Its number.
    pub term: i64,
    /// The provider.
    pub node_id: NodeId,
    /// What operators call it.
    pub node_name: Option<String>,
    /// The identity of its queue.
    pub epoch: Epoch,
}

/// What a node was when another one heard of it last.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Word {
    /// The node.
    pub node: NodeId,
    /// What operators call it.
    #[serde(default)]
    pub name: Option<String>,
    /// Which programs know it by this number.
    #[serde(default)]
    pub number: Option<i32>,
    /// How clients reach it.
    #[serde(default)]
    pub client: Option<String>,
    /// Its role.
    pub role: Role,
    /// The reign that the role belongs to.
    pub term: i64,
    /// Of a provider the last tick of its queue, and when that was made: seconds since 1970, by its clock.
    #[serde(default)]
    pub last_tick: Option<(i64, f64)>,
    /// Of a provider when it was heard, by its clock, if it had taken changes then that no tick shows: seconds since
    /// 1970.
    #[serde(default)]
    pub untold_at: Option<f64>,
    /// Seconds since, at most some ten too many.
    pub age: f64,
}

/// A node that somebody has taken out of a set: what was heard of it before counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Removed {
    /// The node.
    pub node: NodeId,
    /// Seconds since.
    pub age: f64,
}

/// What a node has made of what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Heard {
    /// This meeting has fenced the node, which was a provider.
    pub fenced: bool,
    /// Why it is or must be fenced.
    pub why: String,
    /// Why it could not be fenced now.
    pub error: Option<String>,
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    /// What the node is.
    #[serde(flatten)]
    pub is: Introduction,
    /// The node believes what the caller says.
    #[serde(default)]
    pub may_speak: bool,
    /// What came of what the caller said.
    pub heard: Option<Heard>,
}

/// A saying as another database is told it, and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saying {
    /// The JSON.
    pub json: String,
    /// What is in it.
    pub is: Introduction,
}

/// What this node says of itself; None where no roles are installed. Source: `trunkline.introduce`.
pub async fn introduce(client: &impl GenericClient, queue: &str) -> Result<Option<Saying>, Error> {
    if !function_exists(client, Schema::Trunkline, "introduce(text)").await? {
        return Ok(None);
    }
    let row = client
        .query_one("select trunkline.introduce($1)::text", &[&queue])
        .await
        .map_err(Error::database("ask what this node is"))?;
    let json: String = column(&row, 0)?;
    let is = read(&json)?;
    Ok(Some(Saying { json, is }))
}

/// Tells a node what another one says of itself, and gives the answer with its JSON. None where no roles are installed.
/// Source: `trunkline.meet`.
pub async fn meet(
    client: &impl GenericClient,
    queue: &str,
    me: Option<&str>,
) -> Result<Option<(Answer, String)>, Error> {
    if !function_exists(client, Schema::Trunkline, "meet(text, jsonb)").await? {
        return Ok(None);
    }
    let row = client
        .query_one(
            "select trunkline.meet($1, $2::text::jsonb)::text",
            &[&queue, &me],
        )
        .await
        .map_err(Error::database("meet the node"))?;
    let json: String = column(&row, 0)?;
    Ok(Some((read(&json)?, json)))
}

/// What a node is that cannot be met, because its install is older than meetings, or has no roles at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The server takes no writes at all: it is a physical copy of another node.
    pub in_recovery: bool,
    /// The role; a node that follows without a role is a reader of term 0, as in `trunkline.introduce`. None: a plain
    /// provider, or none.
    pub role: Option<Role>,
    /// The reign that the role belongs to.
    pub term: Option<i64>,
    /// The node that a reader reads from, as far as the session may know.
    pub upstream: Option<NodeId>,
}

/// Asks a node that cannot be met what it is. Source: `trunkline.my_role`, `trunkline.position` and `trunkline.serves`,
/// as far as they are there.
pub async fn standing(client: &impl GenericClient, queue: &str) -> Result<Standing, Error> {
    let row = client
        .query_one("select pg_catalog.pg_is_in_recovery()", &[])
        .await
        .map_err(Error::database("ask whether the server is in recovery"))?;
    let plain = Standing {
        in_recovery: column(&row, 0)?,
        role: None,
        term: None,
        upstream: None,
    };
    let roles = role::list(client).await?;
    if let Some(own) = roles.iter().find(|one| one.queue == queue) {
        return Ok(Standing {
            role: Some(own.role),
            term: Some(own.term),
            ..plain
        });
    }
    let reader = |upstream| Standing {
        role: Some(Role::Reader),
        term: Some(0),
        upstream,
        ..plain
    };
    if position::is_installed(client).await? {
        let doing = || Error::database("ask whether the node follows another one");
        let may = "select pg_catalog.has_table_privilege('trunkline.position', 'select')";
        let row = client.query_one(may, &[]).await.map_err(doing())?;
        if column(&row, 0)? {
            // A column that an older install does not have yet is null.
            let row = client
                .query_opt(
                    "select (pg_catalog.to_jsonb(p) -> 'followed' ->> 0)::int8 from trunkline.position p \
                      where p.queue = $1 order by p.applied_at desc, p.consumer limit 1",
                    &[&queue],
                )
                .await
                .map_err(doing())?;
            return row.map_or(Ok(plain), |row| {
                Ok(reader(column::<Option<i64>>(&row, 0)?.map(NodeId)))
            });
        }
        // Who may not read positions learns from this that replay fills the queue.
        let tells = function_exists(client, Schema::Trunkline, "serves(text)").await?
            && provider::queue_epoch(client, queue).await?.is_some();
        if tells && !plain.in_recovery && !role::serves(client, queue).await? {
            return Ok(reader(None));
        }
    }
    Ok(plain)
}

/// Has this node take in what another one says of itself. Source: `trunkline.hear`.
pub async fn hear(
    client: &impl GenericClient,
    queue: &str,
    said: &str,
) -> Result<Option<Heard>, Error> {
    let row = client
        .query_one(
            "select trunkline.hear($1, $2::text::jsonb)::text",
            &[&queue, &said],
        )
        .await
        .map_err(Error::database("take in what another node says"))?;
    let json: Option<String> = column(&row, 0)?;
    json.as_deref().map(read).transpose()
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json)
        .map_err(|error| Error::Unexpected(format!("a node says of itself {json}: {error}")))
}

/// A node of a set, as this one has heard of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SetNode {
    /// The queue whose name the set has.
    pub queue: String,
    /// It is the node that was asked.
    pub is_own: bool,
    /// Its identity.
    pub node: NodeId,
    /// What operators call it.
    pub name: Option<String>,
    /// Its role.
    pub role: Role,
    /// The reign that the role belongs to; 0: it follows, and has no role.
    pub term: i64,
    /// Seconds since it has the role; None: it has none, and follows.
    pub since_seconds: Option<f64>,
    /// The node that it reads from.
    pub upstream: Option<NodeId>,
    /// What operators call that one.
    pub upstream_name: Option<String>,
    /// As what it reads there, or would read.
    pub consumer: Option<String>,
    /// Ticks that the furthest node that reads the same log is ahead of it; None: it reads none.
    pub behind: Option<i64>,
    /// Seconds since it was heard.
    pub heard_seconds: f64,
    /// Why no node of the set can be trusted to be the provider.
    pub problem: Option<String>,
}

impl SetNode {
    /// What operators call it, else its identity.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.node.to_string())
    }

    /// The node that it reads from, by name or identity.
    pub fn follows(&self) -> Option<String> {
        let upstream = || self.upstream.map(|upstream| upstream.to_string());
        self.upstream_name.clone().or_else(upstream)
    }
}

/// The nodes of this node's sets, this one first; empty where what is installed does not know of them. Needs
/// pgq_reader. Source: `trunkline.nodes`.
pub async fn nodes(client: &impl GenericClient) -> Result<Vec<SetNode>, Error> {
    if !function_exists(client, Schema::Trunkline, "nodes(text)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, own, node_id, name, role, term, \
                    extract(epoch from pg_catalog.clock_timestamp() - since)::float8, \
                    upstream, upstream_name, consumer, behind, heard_seconds, problem \
               from trunkline.nodes()",
            &[],
        )
        .await
        .map_err(Error::database("ask for the nodes of the set"))?;
    rows.iter().map(set_node).collect()
}

fn set_node(row: &Row) -> Result<SetNode, Error> {
    Ok(SetNode {
        queue: column(row, 0)?,
        is_own: column(row, 1)?,
        node: NodeId(column(row, 2)?),
        name: column(row, 3)?,
        role: Role::of(column(row, 4)?)?,
        term: column(row, 5)?,
        since_seconds: column(row, 6)?,
        upstream: column::<Option<i64>>(row, 7)?.map(NodeId),
        upstream_name: column(row, 8)?,
        consumer: column(row, 9)?,
        behind: column(row, 10)?,
        heard_seconds: column(row, 11)?,
        problem: column(row, 12)?,
    })
}

/// Takes a node out of a set; false: it was not known. The other nodes hear of it. Source: `trunkline.forget_member`.
///
/// # Errors
/// Those of the function, such as that the session's role may not call it.
pub async fn forget(client: &impl GenericClient, queue: &str, node: NodeId) -> Result<bool, Error> {
    let row = client
        .query_one("select trunkline.forget_member($1, $2)", &[&queue, &node.0])
        .await
        .map_err(Error::database("take a node out of the set"))?;
    column(&row, 0)
}
