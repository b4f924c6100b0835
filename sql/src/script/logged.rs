//! The scripts of a node's own queue: what `replay execute` and a node that passes scripts on log there, and what who
//! reads the queue asks of them.

use tokio_postgres::GenericClient;

use super::{Script, Touched};
use crate::{
    error::Error, name::TableName, queue::tick::TickId, subscriber::definition::has_function,
};

fn failed() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("read the scripts of the queue")
}

/// A script as a node's own log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedScript {
    /// Its name.
    pub id: String,
    /// SHA-256 of its text.
    pub digest: String,
    /// As [`Script::tick`].
    pub tick: Option<i64>,
    /// As [`Script::tables`].
    pub tables: Vec<Touched>,
    /// Who stands at the tick that was asked for has not come to it: its text then.
    pub after: Option<String>,
}

/// The scripts of a node's queue that the session's snapshot shows; none of a node whose capture is older. Source:
/// `trunkline.logged_scripts`.
pub async fn logged(
    client: &impl GenericClient,
    queue: &str,
    tick: TickId,
) -> Result<Vec<LoggedScript>, Error> {
    if !has_function(client, "trunkline.logged_scripts(text,bigint)").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select script_id, digest, tick_id, tables::text, is_after, body from trunkline.logged_scripts($1, $2)",
            &[&queue, &tick.0],
        )
        .await
        .map_err(failed())?;
    let mut found = Vec::new();
    for row in rows {
        let read = || -> Result<_, tokio_postgres::Error> {
            let (tables, is_after): (String, bool) = (row.try_get(3)?, row.try_get(4)?);
            let body: Option<String> = row.try_get(5)?;
            let one = LoggedScript {
                id: row.try_get(0)?,
                digest: row.try_get(1)?,
                tick: row.try_get(2)?,
                tables: Vec::new(),
                after: is_after.then(|| body.unwrap_or_default()),
            };
            Ok((one, tables))
        };
        let (one, tables) = read().map_err(failed())?;
        let tables = serde_json::from_str(&tables)
            .map_err(|error| Error::Unexpected(format!("the tables of a script: {error}")))?;
        found.push(LoggedScript { tables, ..one });
    }
    Ok(found)
}

/// Begins the transaction of a script on the provider, and gives a number that its events are above.
/// Source: `trunkline.begin_script`.
pub async fn begin(
    client: &impl GenericClient,
    queue: &str,
    id: &str,
    digest: &str,
) -> Result<i64, tokio_postgres::Error> {
    client
        .query_one(
            "select trunkline.begin_script($1, $2, $3)",
            &[&queue, &id, &digest],
        )
        .await
        .and_then(|row| row.try_get(0))
}

/// The queues of this database that a script goes on into which a consumer has executed. Source:
/// `trunkline.script_queues`.
pub async fn queues(client: &impl GenericClient, consumer: &str) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "select q from trunkline.script_queues($1) q order by q",
            &[&consumer],
        )
        .await
        .map_err(failed())?;
    let names: Result<_, tokio_postgres::Error> = rows.iter().map(|row| row.try_get(0)).collect();
    names.map_err(failed())
}

/// A number that all later events of the queue are above. Source: `trunkline.script_mark`.
pub async fn mark(client: &impl GenericClient, queue: &str) -> Result<i64, Error> {
    client
        .query_one("select trunkline.script_mark($1)", &[&queue])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("take a number of the queue"))
}

/// The captured tables that the transaction has locked as DDL does. Source: `trunkline.script_tables`.
pub async fn touched(client: &impl GenericClient, queue: &str) -> Result<Vec<Touched>, Error> {
    let text: String = client
        .query_one("select trunkline.script_tables($1)::text", &[&queue])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask which tables a script touches"))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Unexpected(format!("tables of a script: {error}")))
}

/// Makes a tick over another session than the script's; none: the queue makes no ticks now.
/// Source: `trunkline.script_tick`.
pub async fn tick(client: &impl GenericClient, queue: &str) -> Result<Option<i64>, Error> {
    client
        .query_one("select trunkline.script_tick($1)", &[&queue])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("make a tick for a script"))
}

/// What the provider records of a script beside the script itself.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// The number that the script's own events are above.
    pub after: i64,
    /// The tables and sequences that it has made: kind, name.
    pub made: &'a [(String, TableName)],
    /// The login of the client's system.
    pub told_by: Option<&'a str>,
    /// Whether subscribers get it.
    pub for_subscribers: bool,
}

/// Records a script on the provider and logs it, in the transaction that has run it. Source: `trunkline.log_script`.
pub async fn log(
    client: &impl GenericClient,
    queue: &str,
    script: &Script,
    logged: Logged<'_>,
) -> Result<(), tokio_postgres::Error> {
    let tables = serde_json::json!(script.tables).to_string();
    let made = super::made_json(logged.made);
    client
        .execute(
            "select trunkline.log_script($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9, $10)",
            &[
                &queue,
                &logged.after,
                &script.id,
                &script.digest,
                &script.sql,
                &script.tick,
                &tables,
                &made,
                &logged.told_by,
                &logged.for_subscribers,
            ],
        )
        .await
        .map(|_| ())
}

/// Passes a script on, in the transaction that has executed it on a node whose own queue logs what it applies.
/// Source: `trunkline.put_script`.
pub async fn pass_on(
    client: &impl GenericClient,
    queue: &str,
    script: &Script,
    after: i64,
) -> Result<(), Error> {
    let tables = serde_json::json!(script.tables).to_string();
    client
        .execute(
            "select trunkline.put_script($1, $2, $3, $4, $5, $6, $7::text::jsonb)",
            &[
                &queue,
                &after,
                &script.id,
                &script.digest,
                &script.sql,
                &script.tick,
                &tables,
            ],
        )
        .await
        .map(|_| ())
        .map_err(Error::database("pass a script on"))
}

/// Whether a node has logged a script into a queue. Source: `trunkline.knows_script`.
pub async fn is_known(
    client: &impl GenericClient,
    queue: &str,
    script: &Script,
) -> Result<bool, Error> {
    client
        .query_one(
            "select trunkline.knows_script($1, $2, $3)",
            &[&queue, &script.id, &script.digest],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask the provider for a script"))
}
