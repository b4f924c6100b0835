//! A standby that is ready to become the provider, or has all of one that is fenced, and a provider of the past that
//! comes back as a standby. Through schema trunkline's functions only.

use std::collections::HashMap;

use tokio_postgres::{GenericClient, Row};

use crate::error::{Error, column};
use crate::install::ownership::{Schema, function_exists};
use crate::name::TableName;
use crate::provider::WantedIdentity;
use crate::role::require;

/// The consumer under which a standby captures its tables before anybody reads them there.
pub const SET: &str = "*";

/// What a standby has yet to capture, or to capture no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// A table that is in step.
    Table {
        /// Its name here.
        table: TableName,
        /// Its oid at the provider.
        provider_oid: u32,
    },
    /// A sequence that is carried over.
    Sequence(TableName),
    /// A table that is captured, and that replay does not bring any more.
    Removed {
        /// Its name when it was captured.
        table: TableName,
        /// Its oid here.
        oid: u32,
    },
    /// A sequence that is captured, and that replay does not carry over any more.
    Unused(TableName),
}

/// What a standby has yet to do so that it can become the provider; empty for every other node. Source:
/// `trunkline.unready`.
pub async fn unready(client: &impl GenericClient, queue: &str) -> Result<Vec<Unready>, Error> {
    let doing = || Error::database("look for what a standby has yet to capture");
    let rows = client
        .query(
            "select schema_name, object_name, kind, log_oid, own_oid from trunkline.unready($1)",
            &[&queue],
        )
        .await
        .map_err(doing())?;
    rows.iter()
        .map(|row| {
            let name = TableName::of(row).map_err(doing())?;
            match column::<&str>(row, 2)? {
                "table" => Ok(Unready::Table {
                    table: name,
                    provider_oid: column(row, 3)?,
                }),
                "sequence" => Ok(Unready::Sequence(name)),
                "removed" => Ok(Unready::Removed {
                    table: name,
                    oid: column(row, 4)?,
                }),
                "unused" => Ok(Unready::Unused(name)),
                kind => Err(Error::Unexpected(format!("what is not ready is a {kind}"))),
            }
        })
        .collect()
}

/// How the rows of a provider's tables are told apart, by the tables' oids. Source: `trunkline.identities`.
///
/// # Errors
/// Those of the database, also where the provider's install is older.
pub async fn identities(
    provider: &impl GenericClient,
    queue: &str,
) -> Result<HashMap<u32, WantedIdentity>, Error> {
    let rows = provider
        .query(
            "select table_oid, identity, columns from trunkline.identities($1)",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask how the provider tells its rows apart"))?;
    rows.iter()
        .map(|row| {
            let columns: Option<Vec<String>> = column(row, 2)?;
            let identity = match (column::<&str>(row, 1)?, columns) {
                ("key", None) => WantedIdentity::Own,
                ("key", Some(columns)) => WantedIdentity::Columns(columns),
                ("full", _) => WantedIdentity::Full,
                ("insert-only", _) => WantedIdentity::InsertOnly,
                (other, _) => {
                    return Err(Error::Unexpected(format!("a table's identity is {other}")));
                }
            };
            Ok((column(row, 0)?, identity))
        })
        .collect()
}

/// Whether the log of a provider's queue has ended, and another node goes on. Source: `trunkline.has_ended`.
pub async fn has_ended(provider: &impl GenericClient, queue: &str) -> Result<bool, Error> {
    if !function_exists(provider, Schema::Trunkline, "has_ended(text)").await? {
        return Ok(false);
    }
    let row = provider
        .query_one("select trunkline.has_ended($1)", &[&queue])
        .await
        .map_err(Error::database("ask whether the provider's log has ended"))?;
    column(&row, 0)
}

/// Has the log of a node that was the provider, and follows another one, begin anew, so that it can be followed again;
/// gives why it does not yet, None: it goes on, or has begun. Source: `trunkline.begin_new_log`.
pub async fn begin_new_log(
    provider: &impl GenericClient,
    queue: &str,
) -> Result<Option<String>, Error> {
    if !function_exists(provider, Schema::Trunkline, "begin_new_log(text)").await? {
        return Ok(None);
    }
    let row = provider
        .query_one("select trunkline.begin_new_log($1)", &[&queue])
        .await
        .map_err(Error::database("ask whether the provider's log goes on"))?;
    column(&row, 0)
}

/// Makes a fenced node a standby of the provider that has begun where its log ends; gives that provider's term.
/// `address`: where replay finds this node. Source: `trunkline.join`.
///
/// # Errors
/// Those of the function; then nothing has changed.
pub async fn join(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    job: &str,
    address: Option<&str>,
) -> Result<i64, Error> {
    let row = client
        .query_one(
            "select trunkline.join($1, $2, $3, $4)",
            &[&queue, &consumer, &job, &address],
        )
        .await
        .map_err(Error::database(format!("join the set of queue {queue}")))?;
    column(&row, 0)
}

/// Whether a node's install knows of successors.
pub async fn is_installed(client: &impl GenericClient) -> Result<bool, Error> {
    function_exists(client, Schema::Trunkline, "unready(text)").await
}

/// Another node that may have everything of a fenced one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heir {
    /// What operators call it, else its identity.
    pub name: String,
    /// It has all tables, whole, up to the final tick, or has become the provider there.
    pub has_all: bool,
}

/// The standbys of a fenced node, and which of them have everything; waits up to `wait` seconds until one has. Only
/// what was said in the last so many seconds counts. Source: `trunkline.handed_over`.
///
/// # Errors
/// [`Error::NotInstalled`], or those of the function.
pub async fn handed_over(
    client: &impl GenericClient,
    queue: &str,
    wait: f64,
    seconds: f64,
) -> Result<Vec<Heir>, Error> {
    require(client, "handed_over(text, interval, float8)").await?;
    let rows = client
        .query(
            "select name, has from trunkline.handed_over($1, $2 * interval '1 s', $3)",
            &[&queue, &wait, &seconds],
        )
        .await
        .map_err(Error::database(format!(
            "ask who has everything of queue {queue}"
        )))?;
    let heir = |row: &Row| {
        Ok(Heir {
            name: column(row, 0)?,
            has_all: column(row, 1)?,
        })
    };
    rows.iter().map(heir).collect()
}
