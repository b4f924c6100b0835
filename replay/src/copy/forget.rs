//! A command takes a table out of the job whose copy may be unfinished.

use std::time::Duration;

use sql::{
    name::TableName,
    subscriber::{
        relation,
        session_role::SessionRole,
        table_state::{self, TableRow},
    },
};
use tokio_postgres::Client;

use super::{aside, table_lock};
use crate::{
    apply::{owner::Hold, table::Acting, truncate},
    trouble::Trouble,
};

/// How long a command waits for the table of a copy that it ends: the copy's parts end first.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes a table out of the job, and deletes the rows that an unfinished copy has loaded. `target` is the
/// subscriber's table.
pub(crate) async fn forget(
    session: &Client,
    role: SessionRole,
    consumer: &str,
    row: &TableRow,
    target: &TableName,
) -> Result<(), Trouble> {
    let there = relation::exists(session, target)
        .await
        .map_err(Trouble::sql_at_table(
            &row.table,
            "could not read it on the subscriber",
        ))?;
    let lock = if there && row.loading {
        // The table is locked before the row, because parts lock in this order too.
        format!("lock table {} in access exclusive mode", target.quoted())
    } else {
        String::new()
    };
    session
        .batch_execute(&format!(
            "begin isolation level read committed; {}; set local lock_timeout = {}; {lock}",
            role.for_transaction(),
            LOCK_TIMEOUT.as_millis()
        ))
        .await
        .map_err(Trouble::at_table(
            &row.table,
            "could not lock it on the subscriber",
        ))?;
    table_state::remove(session, consumer, &row.table)
        .await
        .map_err(Trouble::sql_at_table(&row.table, "could not remove it"))?;
    if there && row.loading {
        let acting = Acting::find_and_hold(session, &row.table, target, Hold::ToWrite).await?;
        truncate::tables(session, &[(target, &acting)]).await?;
    }
    aside::drop(row, session, consumer).await?;
    table_lock::commit(session, &row.table).await
}
