//! Transactions of a copy that take a table's lock on the subscriber.

use sql::{
    moment::{self, Tries},
    name::TableName,
    subscriber::session_role::SessionRole,
};
use tokio_postgres::Client;

use crate::trouble::Trouble;

/// Begins a transaction that waits a moment for a lock: see [`again`].
pub(super) async fn begin(session: &Client, role: SessionRole) -> Result<(), Trouble> {
    session
        .batch_execute(&format!(
            "begin isolation level read committed; {}; {}",
            role.for_transaction(),
            moment::in_transaction()
        ))
        .await
        .map_err(Trouble::database("could not begin on the subscriber"))
}

/// Ends a failed try of such a transaction: rolls it back, and waits for the [next try](Tries::again), because
/// readers queue behind each try.
pub(super) async fn again(
    session: &Client,
    tries: &Tries,
    trouble: Trouble,
) -> Result<(), Trouble> {
    session
        .batch_execute("rollback")
        .await
        .map_err(Trouble::database("could not roll back on the subscriber"))?;
    tries.again(trouble).await
}

/// Commits what was done for a table.
pub(super) async fn commit(session: &Client, table: &TableName) -> Result<(), Trouble> {
    let doing = "could not commit on the subscriber";
    session
        .batch_execute("commit")
        .await
        .map_err(Trouble::at_table(table, doing))
}
