//! What the tables of a set hold, read on two nodes that stand at one tick. Through schema trunkline's functions only.

use std::collections::HashMap;

use serde::Deserialize;
use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::name::TableName;

/// A table of the set, by its oid on the provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SetTable {
    /// The oid.
    pub oid: u32,
    schema: String,
    name: String,
}

impl SetTable {
    /// The name on the provider.
    pub fn title(&self) -> TableName {
        TableName::new(&self.schema, &self.name)
    }
}

/// The tables that a provider has said that its set has ([`crate::operation::set_state`]).
///
/// # Errors
/// [`Error::Unexpected`]: it is no such saying.
pub fn tables_of(set: &str) -> Result<Vec<SetTable>, Error> {
    #[derive(Deserialize)]
    struct Set {
        tables: Vec<SetTable>,
    }
    let set: Set = serde_json::from_str(set)
        .map_err(|error| Error::Unexpected(format!("what is in a set: {error}: {set}")))?;
    Ok(set.tables)
}

/// The oids of a set's tables on a node that follows, by their oids on the provider. Source: `trunkline.set_tables`.
pub async fn followed(
    client: &impl GenericClient,
    queue: &str,
) -> Result<HashMap<u32, u32>, Error> {
    let rows = client
        .query(
            "select log_oid, own_oid from trunkline.set_tables($1) where own_oid is not null",
            &[&queue],
        )
        .await
        .map_err(Error::database("ask which tables are followed"))?;
    let pair = |row| Ok((column(row, 0)?, column(row, 1)?));
    rows.iter().map(pair).collect()
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The number of rows.
    pub rows: i64,
    /// A sum over the text of all rows.
    pub sum: String,
}

/// The columns of a table that are replicated. Source: `trunkline.columns_to_verify`.
pub async fn columns(client: &impl GenericClient, table: u32) -> Result<Vec<String>, Error> {
    let row = client
        .query_one("select trunkline.columns_to_verify($1)", &[&table])
        .await
        .map_err(Error::database("ask for the columns of a table"))?;
    column(&row, 0)
}

/// Reads these columns of a table; none: the rows are only counted. Source: `trunkline.verify`.
pub async fn read(
    client: &impl GenericClient,
    table: u32,
    columns: &[String],
) -> Result<Content, Error> {
    let row = client
        .query_one(
            "select rows, sum from trunkline.verify($1, $2)",
            &[&table, &columns],
        )
        .await
        .map_err(Error::database("read the rows of a table"))?;
    Ok(Content {
        rows: column(&row, 0)?,
        sum: column(&row, 1)?,
    })
}

/// The hash of a row as 64 bits, of the expression for its text, or for the bytes of the text in UTF-8. A comparison of
/// rows takes it, and so do `trunkline.digest` and what is built on that, which a test holds to it.
pub fn row_hash(text: &str) -> String {
    format!("('x' || substr(md5({text}), 1, 16))::bit(64)::bigint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_table_sums_the_same_hash_of_each_row_that_a_comparison_takes() {
        let digest = include_str!("../base/trunkline.digest.sql");
        let hash = row_hash("convert_to(row(%s)::text, 'UTF8')").replace('\'', "''");
        assert!(digest.contains(&format!("sum({hash})")), "{hash}");
        assert_eq!(digest.matches("md5(").count(), 1);
    }
}
