//! Empties tables of the subscriber inside an open transaction.

use sql::{name::TableName, subscriber::partitions};
use tokio_postgres::{Client, error::SqlState};

use super::owner::Acting;
use crate::trouble::Trouble;

/// A table, and the role that it is emptied as.
pub(crate) type Emptied<'a> = (&'a TableName, &'a Acting);

/// Empties tables of one role in one TRUNCATE, so that foreign keys among them are no hindrance. If a foreign key of
/// yet another table refers to one of them, rows are deleted instead: TRUNCATE would have to empty that table too.
pub(crate) async fn tables(client: &Client, tables: &[Emptied<'_>]) -> Result<(), Trouble> {
    let Some((first, acting)) = tables.first() else {
        return Ok(());
    };
    let run =
        async |sql: &str, table: &TableName| client.batch_execute(sql).await.map_err(cannot(table));
    let names = own_rows(client, tables)
        .await
        .map_err(Trouble::sql_at_table(
            first,
            "could not look at it on the subscriber",
        ))?;
    run("savepoint emptying", first).await?;
    let truncate = format!("truncate {}", names.join(", "));
    match acting.execute(client, &truncate).await {
        Ok(_) => run("release savepoint emptying", first).await,
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            run("rollback to savepoint emptying", first).await?;
            for ((table, acting), name) in tables.iter().zip(&names) {
                let deleted = acting.execute(client, &format!("delete from {name}")).await;
                deleted.map_err(cannot(table))?;
            }
            Ok(())
        }
        Err(error) => Err(cannot(first)(error)),
    }
}

fn cannot(table: &TableName) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
    Trouble::at_table(table, "could not empty it on the subscriber")
}

/// The tables for TRUNCATE and DELETE: with their partitions, and without their inheritance children, which have rows
/// of their own.
async fn own_rows(client: &Client, tables: &[Emptied<'_>]) -> Result<Vec<String>, sql::Error> {
    let names: Vec<&TableName> = tables.iter().map(|(one, _)| *one).collect();
    let partitioned = partitions::are_partitioned(client, &names).await?;
    let own_rows = |(table, partitioned): (&TableName, bool)| {
        let only = if partitioned { "" } else { "only " };
        format!("{only}{}", table.quoted())
    };
    Ok(names.into_iter().zip(partitioned).map(own_rows).collect())
}
