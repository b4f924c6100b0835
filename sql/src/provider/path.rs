//! The nodes whose changes come out of a provider's queue.

use tokio_postgres::GenericClient;

use crate::{error::Error, queue::lineage::NodePath};

/// The nodes whose changes may come out of a queue from now on, the provider first; those too that the provider is
/// about to follow. Source: `trunkline.node_path`.
pub async fn node_path(client: &impl GenericClient, queue: &str) -> Result<NodePath, Error> {
    ask(client, queue, false).await
}

/// The nodes whose rows the tables of a queue may show, in the snapshot of the open transaction. Source:
/// `trunkline.node_path`.
pub async fn path_of_rows(client: &impl GenericClient, queue: &str) -> Result<NodePath, Error> {
    ask(client, queue, true).await
}

async fn ask(client: &impl GenericClient, queue: &str, rows: bool) -> Result<NodePath, Error> {
    client
        .query_one("select trunkline.node_path($1, $2)", &[&queue, &rows])
        .await
        .and_then(|row| NodePath::of(&row, 0))
        .map_err(Error::database("ask which nodes are above the provider"))
}
