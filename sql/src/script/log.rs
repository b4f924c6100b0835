//! Scripts on the provider, and on a node that passes them on: functions of schema `trunkline`, each in the transaction
//! that runs the script.

use tokio_postgres::GenericClient;

use super::{Made, Script, Touched};
use crate::{error::Error, name::TableName};

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
        .map_err(Error::database("ask which queues a script goes on into"))?;
    let names: Result<_, tokio_postgres::Error> = rows.iter().map(|row| row.try_get(0)).collect();
    names.map_err(Error::database("ask which queues a script goes on into"))
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
    let made: Vec<Made> = logged
        .made
        .iter()
        .map(|(kind, name)| Made {
            kind: kind.clone(),
            schema: name.schema.clone(),
            name: name.name.clone(),
        })
        .collect();
    let made = serde_json::json!(made).to_string();
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

/// Whether a node has recorded a script. Source: `trunkline.knows_script`.
pub async fn is_known(client: &impl GenericClient, script: &Script) -> Result<bool, Error> {
    client
        .query_one(
            "select trunkline.knows_script($1, $2)",
            &[&script.id, &script.digest],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask the provider for a script"))
}
