//! What is wrong with the capture of tables.

use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::name::TableName;

/// A captured table whose changes may be missing from its queue's events, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureProblem {
    /// The queue that the table's events go into.
    pub queue: String,
    /// The table's name.
    pub table: TableName,
    /// What is wrong with the capture.
    pub problem: String,
}

/// The captured tables with a problem, by queue and name; none where the capture that is installed cannot tell. To be
/// called where schema trunkline is proven. Source: `trunkline.capture_problems()`.
pub async fn capture_problems(client: &impl GenericClient) -> Result<Vec<CaptureProblem>, Error> {
    let doing = || Error::database("list problems of capture");
    let there = client
        .query_one(
            "select pg_catalog.to_regprocedure('trunkline.capture_problems()') is not null",
            &[],
        )
        .await
        .map_err(doing())?;
    if !column::<bool>(&there, 0)? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select schema_name, table_name, queue_name, problem from trunkline.capture_problems()",
            &[],
        )
        .await
        .map_err(doing())?;
    rows.iter()
        .map(|row| {
            Ok(CaptureProblem {
                table: TableName::of(row).map_err(doing())?,
                queue: column(row, 2)?,
                problem: column(row, 3)?,
            })
        })
        .collect()
}
