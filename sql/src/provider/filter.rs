//! The provider's functions for filters: one checks whether a text is a filter, one makes the statement that filters
//! many rows.

use tokio_postgres::GenericClient;

use crate::{
    error::Error,
    event::mapping::{self, Filter, ProviderColumn},
    name::{TableName, quote_ident},
};

/// Reads a condition as the provider understands it on a row of a table, names looked up in
/// pg_catalog, the table's schema and public. The result has all names qualified.
///
/// # Errors
/// The server's error for a text that is no such condition.
pub async fn check(
    client: &impl GenericClient,
    table: &TableName,
    oid: u32,
    condition: &str,
) -> Result<Filter, Error> {
    let text = Text {
        condition,
        known: None,
        search_path: &format!(
            "pg_catalog, {}, public, pg_temp",
            quote_ident(&table.schema)
        ),
    };
    tried(client, oid, text)
        .await
        .map_err(Error::database(format!(
            "try the filter of {table} on the provider"
        )))
}

/// Reads a stored filter again, under the names that it knows its columns by. A function that the filter calls may
/// belong to somebody else by now, and the provider does not trust a text that is stored on a subscriber.
///
/// # Errors
/// The server's error if the text is not a condition any more.
pub async fn check_again(
    client: &impl GenericClient,
    oid: u32,
    filter: &Filter,
) -> Result<Filter, Error> {
    let text = Text {
        condition: &filter.condition,
        known: Some(&filter.columns),
        search_path: "pg_catalog, pg_temp",
    };
    tried(client, oid, text)
        .await
        .map_err(Error::database("try a filter again on the provider"))
}

/// A condition, and how its names are resolved.
struct Text<'a> {
    condition: &'a str,
    known: Option<&'a [ProviderColumn]>,
    search_path: &'a str,
}

/// Tries a condition in a transaction that is rolled back, so that nothing is left behind.
async fn tried(
    client: &impl GenericClient,
    oid: u32,
    text: Text<'_>,
) -> Result<Filter, tokio_postgres::Error> {
    client
        .batch_execute("begin isolation level read committed")
        .await?;
    let found = found(client, oid, text).await;
    let ended = client.batch_execute("rollback").await;
    found.and_then(|found| ended.map(|()| found))
}

async fn found(
    client: &impl GenericClient,
    oid: u32,
    text: Text<'_>,
) -> Result<Filter, tokio_postgres::Error> {
    let (attnums, names) = text.known.map(mapping::stored).unzip();
    let scratch: String = client
        .query_one(
            "select trunkline.filter_table($1, $2, $3)",
            &[&oid, &attnums, &names],
        )
        .await?
        .try_get(0)?;
    client
        .batch_execute(&format!("set local search_path = {}", text.search_path))
        .await?;
    // The extended protocol is used, because the simple protocol would take a second statement. The condition has a
    // line of its own, so that a comment in it ends.
    client
        .execute(
            &format!(
                "create index on {scratch} ((1)) where (\n{}\n)",
                text.condition
            ),
            &[],
        )
        .await?;
    let row = client
        .query_one(
            "select filter, names, attnums from trunkline.filter_found($1, $2, $3)",
            &[&oid, &attnums, &names],
        )
        .await?;
    Ok(Filter {
        condition: row.try_get(0)?,
        columns: ProviderColumn::all(row.try_get(2)?, row.try_get(1)?),
    })
}

/// The statement that evaluates a filter.
#[derive(Clone, Debug)]
pub struct FilterStatement {
    /// The statement. It has a parameter for each of the filter's columns, an array in text form of the values of all
    /// rows. It gives one row with an array of booleans, one for each row.
    pub sql: String,
    /// The delimiter between two elements of each parameter.
    pub delimiters: Vec<String>,
}

/// Asks for the statement for rows in which the filter's columns have these types.
pub async fn statement(
    client: &impl GenericClient,
    oid: u32,
    filter: &Filter,
    types: &[&str],
) -> Result<FilterStatement, Error> {
    let (attnums, names) = mapping::stored(&filter.columns);
    let row = client
        .query_one(
            "select statement, delimiters from trunkline.filter_statement($1, $2, $3, $4, $5)",
            &[&oid, &filter.condition, &names, &attnums, &types],
        )
        .await;
    row.and_then(|row| {
        Ok(FilterStatement {
            sql: row.try_get(0)?,
            delimiters: row.try_get(1)?,
        })
    })
    .map_err(Error::database(
        "ask for the statement of a filter on the provider",
    ))
}
