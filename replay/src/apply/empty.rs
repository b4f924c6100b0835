//! Empties tables of the subscriber inside an open transaction.

use sql::name::TableName;
use tokio_postgres::{Client, error::SqlState};

use crate::trouble::Trouble;

/// Empties tables in one TRUNCATE, so that foreign keys among them are no hindrance. Where a
/// foreign key of yet another table points at one of them, rows are deleted instead: TRUNCATE
/// would have to empty that table too.
pub(crate) async fn tables(client: &Client, tables: &[TableName]) -> Result<(), Trouble> {
    let Some(first) = tables.first() else {
        return Ok(());
    };
    let run = async |sql: &str, table: &TableName| {
        client.batch_execute(sql).await.map_err(Trouble::at_table(
            table,
            "could not empty it on the subscriber",
        ))
    };
    let names: Vec<String> = tables.iter().map(TableName::quoted).collect();
    run("savepoint emptying", first).await?;
    let truncate = format!("truncate {}", names.join(", "));
    match client.batch_execute(&truncate).await {
        Ok(()) => run("release savepoint emptying", first).await,
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            run("rollback to savepoint emptying", first).await?;
            for table in tables {
                run(&format!("delete from {}", table.quoted()), table).await?;
            }
            Ok(())
        }
        Err(error) => Err(Trouble::at_table(
            first,
            "could not empty it on the subscriber",
        )(error)),
    }
}
