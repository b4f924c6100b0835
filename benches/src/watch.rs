//! One session that stays open, to be asked without the cost of a connection.

use tests::Cluster;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, SimpleQueryMessage};

/// A session and the runtime that drives it.
pub(crate) struct Watch {
    runtime: Runtime,
    client: Client,
}

#[allow(
    clippy::expect_used,
    reason = "a measurement that cannot ask its servers is none"
)]
impl Watch {
    /// Connects.
    pub(crate) fn new(cluster: &Cluster, dbname: &str) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("make a runtime");
        let client = runtime.block_on(cluster.connect(dbname));
        Self { runtime, client }
    }

    /// Runs a query of one text column and gives the first row; empty if none.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.runtime
            .block_on(self.client.simple_query(sql))
            .expect("ask a server")
            .iter()
            .find_map(|message| {
                if let SimpleQueryMessage::Row(row) = message {
                    row.get(0).map(str::to_owned)
                } else {
                    None
                }
            })
            .unwrap_or_default()
    }
}
