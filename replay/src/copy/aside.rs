//! The table beside the subscriber's: rows are loaded there that are not to be seen before all are in.

use sha2::{Digest, Sha256};
use sql::{
    name::TableName,
    subscriber::table_state::{Existing, TableRow},
};
use tokio_postgres::Client;

use crate::{apply::table::Target, trouble::Trouble};

/// What the copy does with rows that the table holds. What an unfinished try has loaded is
/// nobody's: it goes, whatever is to be done with rows that were there before.
pub(super) fn treatment(row: &TableRow) -> Existing {
    if row.loading {
        Existing::Truncate
    } else {
        row.existing
    }
}

/// The table that parts are loaded into.
pub(super) fn loaded_table(row: &TableRow, target: &Target, consumer: &str) -> TableName {
    match treatment(row) {
        Existing::Refuse | Existing::Truncate | Existing::Trust => target.name.clone(),
        Existing::Keep | Existing::Swap => name(row, consumer),
    }
}

/// The name of the table beside it, which is written to the server's log like any other: an unlogged
/// one would be empty after a crash.
///
/// The name has the consumer in it, too: the providers of two jobs may number their tables alike, and the
/// copy of one job would drop the other's table. The consumer's name itself may be too long.
pub(super) fn name(row: &TableRow, consumer: &str) -> TableName {
    let digest = Sha256::digest(consumer.as_bytes());
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    TableName::new("trunkline", format!("copy_{}_{digest}", row.provider_oid))
}

/// Makes the table. It is replay's own, and has no types of the owner's; the owner reads it.
pub(super) async fn make(
    row: &TableRow,
    target: &Target,
    session: &Client,
    consumer: &str,
) -> Result<(), Trouble> {
    let aside = name(row, consumer).quoted();
    let doing = "could not make a table beside it on the subscriber";
    session
        .batch_execute(&format!(
            "drop table if exists {aside}; {}{}",
            target.make_aside(&aside),
            target.acting.grant("select", &[&aside])
        ))
        .await
        .map_err(Trouble::at_table(&row.table, doing))
}

/// Makes statistics of the table: without them the join of two large tables may be planned row by row.
pub(super) async fn analyze(
    row: &TableRow,
    session: &Client,
    consumer: &str,
) -> Result<(), Trouble> {
    let doing = "could not analyze what was copied";
    session
        .batch_execute(&format!("analyze {}", name(row, consumer).quoted()))
        .await
        .map_err(Trouble::at_table(&row.table, doing))
}

/// Brings the loaded rows into the subscriber's table, whose other rows go if it is to hold these only; the table
/// beside it goes.
pub(super) async fn merge(
    row: &TableRow,
    target: &Target,
    session: &Client,
    consumer: &str,
    only_these: bool,
) -> Result<(), Trouble> {
    let doing = "could not bring the copied rows in on the subscriber";
    for statement in &target.merge_statements(&name(row, consumer), only_these) {
        let merged = target.acting.execute(session, statement).await;
        merged.map_err(Trouble::at_table(&row.table, doing))?;
    }
    drop(row, session, consumer).await
}

/// Drops the table, if it is there.
pub(super) async fn drop(row: &TableRow, session: &Client, consumer: &str) -> Result<(), Trouble> {
    let aside = name(row, consumer).quoted();
    session
        .batch_execute(&format!("drop table if exists {aside}"))
        .await
        .map_err(Trouble::at_table(&row.table, "could not clear away"))
}
