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
    /// The other nodes, as it has last heard of each.
    #[serde(default)]
    pub members: Vec<Word>,
    /// The highest term that it has heard of.
    pub known_term: Option<i64>,
    /// The first provider of the set, which tells it from another one of the same name.
    pub set: Option<NodeId>,
}

/// What a node was when another one heard of it last.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Word {
    /// The node.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// The reign that the role belongs to.
    pub term: i64,
    /// Seconds since, at most some ten too many.
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

/// Another node of a set, as this one has heard of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The queue whose name the set has.
    pub queue: String,
    /// Its identity.
    pub node: NodeId,
    /// What operators call it.
    pub name: Option<String>,
    /// Its role.
    pub role: Role,
    /// The reign that the role belongs to.
    pub term: i64,
    /// Seconds since it has the role; None: it has none, and follows.
    pub since_seconds: Option<f64>,
    /// The node that it reads from, and what operators call that one.
    pub upstream: Option<NodeId>,
    /// See `upstream`.
    pub upstream_name: Option<String>,
    /// Seconds since it was heard.
    pub heard_seconds: f64,
    /// Why no node of the set can be trusted to be the provider.
    pub problem: Option<String>,
}

/// The other nodes of this node's sets; empty where no roles are installed. Needs pgq_reader. Source:
/// `trunkline.members`.
pub async fn members(client: &impl GenericClient) -> Result<Vec<Member>, Error> {
    if !function_exists(client, Schema::Trunkline, "members(text)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, node_id, name, role, term, upstream, upstream_name, heard_seconds, problem, \
                    extract(epoch from pg_catalog.clock_timestamp() - since)::float8 \
               from trunkline.members()",
            &[],
        )
        .await
        .map_err(Error::database("ask for the nodes of the set"))?;
    rows.iter().map(member).collect()
}

fn member(row: &Row) -> Result<Member, Error> {
    Ok(Member {
        queue: column(row, 0)?,
        node: NodeId(column(row, 1)?),
        name: column(row, 2)?,
        role: Role::of(column(row, 3)?)?,
        term: column(row, 4)?,
        upstream: column::<Option<i64>>(row, 5)?.map(NodeId),
        upstream_name: column(row, 6)?,
        heard_seconds: column(row, 7)?,
        problem: column(row, 8)?,
        since_seconds: column(row, 9)?,
    })
}
