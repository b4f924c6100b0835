//! What has happened to a node in the sets of its queues, which programs beside it are told, and the provider that the
//! node knows of. Reads and writes both through schema trunkline's functions.

use serde::Serialize;
use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};

/// Names of all events. Those in front are repmgr's, where the meaning is the same.
pub const NAMES: [&str; 26] = [
    "primary_register",
    "standby_register",
    "standby_promote",
    "standby_follow",
    "standby_switchover",
    "node_rejoin",
    "fenced",
    "unfenced",
    "stale_provider_fenced",
    "two_providers",
    "switchover_started",
    "switchover_aborted",
    "failover_started",
    "failover_aborted",
    "failover_refused",
    "ahead",
    "lost_changes",
    "hopped",
    "relay_on",
    "relay_off",
    "operation_left",
    "redirect_failed",
    "all_tables_in_sync",
    "lag_high",
    "lag_ok",
    "subscriber_stopped",
];

/// An event that is to be told, with what belongs to it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Its number, by which it is marked.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// It is no failure.
    pub is_ok: bool,
    /// When it happened, in UTC, as the server writes times.
    pub time: String,
    /// What a person is told; empty: nothing more.
    pub details: String,
    /// The node's term when it happened.
    pub term: Option<i64>,
    /// The node's number, or its id.
    pub node: String,
    /// The same of the other node that has to do with it; empty: none.
    pub other_node: String,
    /// The name of the set's provider, or its id; empty: not known.
    pub provider: String,
    /// How clients reach the provider; empty: not known.
    pub client: String,
}

/// The provider of a set, as far as a node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProvider {
    /// Its id.
    pub node: i64,
    /// What operators call it; its id, if it has no name.
    pub name: String,
    /// How clients reach it; empty: nobody has said.
    pub client: String,
    /// Its term.
    pub term: i64,
}

/// An event as it is listed; also its JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its number.
    pub id: i64,
    /// The queue whose name the set has.
    pub queue: String,
    /// Its name.
    pub event: String,
    /// It is no failure.
    pub ok: bool,
    /// When it happened: an RFC 3339 time in UTC.
    pub time: String,
    /// The node's term then.
    pub term: Option<i64>,
    /// What a person is told.
    pub details: Option<String>,
    /// The other node that has to do with it: its id.
    pub other_node: Option<i64>,
    /// The name of that node.
    pub other_name: Option<String>,
    /// When it was told; None: not yet.
    pub told: Option<String>,
    /// How often the command has failed.
    pub tries: i32,
    /// How the command failed last.
    pub error: Option<String>,
}

/// Whether this database has events to tell: roles are installed there.
pub async fn is_installed(client: &impl GenericClient) -> Result<bool, Error> {
    function_exists(client, Schema::Trunkline, "next_event(text)").await
}

/// The oldest event of a queue that is not told yet. Source: `trunkline.next_event`.
pub async fn next(client: &impl GenericClient, queue: &str) -> Result<Option<Untold>, Error> {
    let row = client
        .query_opt(
            "select event_id, event, ok, happened_at, details, term, node, other_node, provider, client \
               from trunkline.next_event($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask for events"))?;
    row.map(|row| {
        Ok(Untold {
            id: column(&row, 0)?,
            name: column(&row, 1)?,
            is_ok: column(&row, 2)?,
            time: column(&row, 3)?,
            details: column(&row, 4)?,
            term: column(&row, 5)?,
            node: column(&row, 6)?,
            other_node: column(&row, 7)?,
            provider: column(&row, 8)?,
            client: column(&row, 9)?,
        })
    })
    .transpose()
}

/// Notes that an event is told; `error`: why it is not yet. Source: `trunkline.mark_event`.
pub async fn mark(client: &impl GenericClient, id: i64, error: Option<&str>) -> Result<(), Error> {
    client
        .execute("select trunkline.mark_event($1, $2)", &[&id, &error])
        .await
        .map_err(Error::database("note that an event is told"))?;
    Ok(())
}

/// Has an event told when the client's transaction commits; false: no roles are installed, or the session's role may
/// not.
/// `other_node`: the id of the other node that has to do with it. Source: `trunkline.tell_event`.
pub async fn tell(
    client: &impl GenericClient,
    queue: &str,
    event: &str,
    is_ok: bool,
    details: &str,
    other_node: Option<i64>,
) -> Result<bool, Error> {
    const FUNCTION: &str = "tell_event(text, text, boolean, text, bigint)";
    if !function_exists(client, Schema::Trunkline, FUNCTION).await? {
        return Ok(false);
    }
    let doing = "have an event told";
    let may = client
        .query_one(
            "select pg_catalog.has_function_privilege('trunkline.' || $1, 'execute')",
            &[&FUNCTION],
        )
        .await
        .map_err(Error::database(doing))?;
    if !column(&may, 0)? {
        return Ok(false);
    }
    client
        .execute(
            "select trunkline.tell_event($1, $2, $3, $4, $5)",
            &[&queue, &event, &is_ok, &details, &other_node],
        )
        .await
        .map_err(Error::database(doing))?;
    Ok(true)
}

/// The provider of a set, as far as this node knows; None: nobody, or one of two. Source: `trunkline.known_provider`.
pub async fn known_provider(
    client: &impl GenericClient,
    queue: &str,
) -> Result<Option<KnownProvider>, Error> {
    let row = client
        .query_opt(
            "select node_id, coalesce(name, node_id::pg_catalog.text), coalesce(client, ''), term \
               from trunkline.known_provider($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask who is the provider"))?;
    row.map(|row| {
        Ok(KnownProvider {
            node: column(&row, 0)?,
            name: column(&row, 1)?,
            client: column(&row, 2)?,
            term: column(&row, 3)?,
        })
    })
    .transpose()
}

/// The newest events of this node, the newest first; empty where no roles are installed. `queue`: of this one only.
/// Needs pgq_reader. Source: `trunkline.events`.
pub async fn list(
    client: &impl GenericClient,
    queue: Option<&str>,
    limit: i32,
) -> Result<Vec<Event>, Error> {
    if !function_exists(client, Schema::Trunkline, "events(text, integer)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select event_id, queue_name, event, ok, \
                    pg_catalog.to_char(happened_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), \
                    term, details, other_node, other_name, \
                    pg_catalog.to_char(told_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), tries, error \
               from trunkline.events($1, $2)",
            &[&queue, &limit],
        )
        .await
        .map_err(Error::database("list events"))?;
    rows.iter()
        .map(|row| {
            Ok(Event {
                id: column(row, 0)?,
                queue: column(row, 1)?,
                event: column(row, 2)?,
                ok: column(row, 3)?,
                time: column(row, 4)?,
                term: column(row, 5)?,
                details: column(row, 6)?,
                other_node: column(row, 7)?,
                other_name: column(row, 8)?,
                told: column(row, 9)?,
                tries: column(row, 10)?,
                error: column(row, 11)?,
            })
        })
        .collect()
}

/// Events of one queue that wait because the command has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The queue whose name the set has.
    pub queue: String,
    /// How many wait.
    pub events: i64,
    /// The oldest of them.
    pub event: String,
    /// How the command has failed for it; None: it is told next.
    pub error: Option<String>,
    /// Seconds since it happened.
    pub seconds: f64,
}

/// Where events wait because the command has failed; empty where no roles are installed. Needs pgq_reader. Source:
/// `trunkline.waiting_events`.
pub async fn waiting(client: &impl GenericClient) -> Result<Vec<Waiting>, Error> {
    if !function_exists(client, Schema::Trunkline, "waiting_events()").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select queue_name, events, event, error, seconds from trunkline.waiting_events()",
            &[],
        )
        .await
        .map_err(Error::database("look for events that wait"))?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                queue: column(row, 0)?,
                events: column(row, 1)?,
                event: column(row, 2)?,
                error: column(row, 3)?,
                seconds: column(row, 4)?,
            })
        })
        .collect()
}
