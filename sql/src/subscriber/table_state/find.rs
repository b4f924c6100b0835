//! Reads rows of `trunkline.table_state`: all rows, one row, or those of tables that are under way.

use tokio_postgres::GenericClient;

use super::{COLUMNS, State, TableRow, could_not_read, table_row};
use crate::{error::Error, name::TableName};

/// All tables of a consumer, by name.
pub async fn list(client: &impl GenericClient, consumer: &str) -> Result<Vec<TableRow>, Error> {
    let rows = client
        .query(
            &format!(
                "select {COLUMNS} from trunkline.table_state where consumer = $1 \
                 order by schema_name, table_name"
            ),
            &[&consumer],
        )
        .await
        .map_err(could_not_read())?;
    rows.iter().map(table_row).collect()
}

/// The states of tables that are under way: all but `ok`.
pub const UNFINISHED: [State; 5] = [
    State::Waiting,
    State::InCopy,
    State::CatchingUp,
    State::WannaSync,
    State::Parked,
];

/// The condition for tables of `$1` in states `$2`, without `ok`. It is written so that an index over such tables only
/// is used. With `consumer = $1` and without statistics, as after an install, the primary key would be used instead: it
/// leads to all tables and over all their old versions.
const UNDER_WAY: &str = "consumer is not distinct from $1 and state <> 'ok' and state = any($2)";

/// The tables of a consumer that are in one of these states, by name; `ok` must not be among the states. Reads those
/// tables alone, however many tables are in sync.
pub async fn unfinished(
    client: &impl GenericClient,
    consumer: &str,
    states: &[State],
) -> Result<Vec<TableRow>, Error> {
    let rows = client
        .query(
            &format!(
                "select {COLUMNS} from trunkline.table_state \
                 where {UNDER_WAY} order by schema_name, table_name"
            ),
            &[&consumer, &words(states)],
        )
        .await
        .map_err(could_not_read())?;
    rows.iter().map(table_row).collect()
}

fn words(states: &[State]) -> Vec<&'static str> {
    states.iter().map(|state| state.as_str()).collect()
}

/// Whether no table of a consumer is under way.
pub async fn none_unfinished(client: &impl GenericClient, consumer: &str) -> Result<bool, Error> {
    client
        .query_one(
            &format!("select not exists (select from trunkline.table_state where {UNDER_WAY})"),
            &[&consumer, &words(&UNFINISHED)],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(could_not_read())
}

/// One table of a consumer; none if the table is not replicated.
pub async fn find(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<Option<TableRow>, Error> {
    let row = client
        .query_opt(
            &format!(
                "select {COLUMNS} from trunkline.table_state \
                 where consumer = $1 and schema_name = $2 and table_name = $3"
            ),
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .map_err(could_not_read())?;
    row.as_ref().map(table_row).transpose()
}

/// When the state of a consumer's table last changed, as the subscriber writes it: another text after each copy, repair
/// and stop; none if the table is not replicated.
pub async fn changed_at(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<Option<String>, Error> {
    client
        .query_opt(
            "select changed_at::text from trunkline.table_state \
              where consumer = $1 and schema_name = $2 and table_name = $3",
            &[&consumer, &table.schema, &table.name],
        )
        .await
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(could_not_read())
}
