//! One session of a role, and short questions to it.

use sql::install::{Component, install};
use tests::Cluster;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A session of this role: who the session belongs to counts, not SET ROLE.
pub(crate) async fn session(cluster: &Cluster, dbname: &str, role: &str) -> Client {
    let text = cluster
        .conninfo(dbname)
        .replace("user=postgres", &format!("user={role}"));
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A server with the queue, its companions and a queue `q` that ticks whenever it is asked, and a session to it.
pub(crate) async fn with_queue() -> (Cluster, Client) {
    let cluster = Cluster::start();
    let client = install_queue(&cluster).await;
    (cluster, client)
}

/// The same on a server that runs.
pub(crate) async fn install_queue(cluster: &Cluster) -> Client {
    let mut client = cluster.connect("postgres").await;
    install(
        &mut client,
        &[Component::Pgq, Component::Coop, Component::Ext],
    )
    .await
    .unwrap();
    client
        .batch_execute(
            "select pgq.create_queue('q'); select pgq.set_queue_config('q', 'ticker_max_lag', '0'); \
             select pgq.set_queue_config('q', 'ticker_idle_period', '0')",
        )
        .await
        .unwrap();
    client
}

/// All values of the answer, columns and rows with a space between; what the server says if it fails.
pub(crate) async fn try_ask(client: &Client, sql: &str) -> Result<String, String> {
    let messages = client.simple_query(sql).await.map_err(|error| {
        error
            .as_db_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned())
    })?;
    let mut values = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            values.extend((0..row.len()).map(|index| row.get(index).unwrap_or("null").to_owned()));
        }
    }
    Ok(values.join(" "))
}

/// The same, where it must not fail.
pub(crate) async fn ask(client: &Client, sql: &str) -> String {
    try_ask(client, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The SQLSTATE that a statement fails with; empty if it does not.
pub(crate) async fn code(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(_) => String::new(),
        Err(error) => error
            .code()
            .map_or_else(String::new, |code| code.code().to_owned()),
    }
}
