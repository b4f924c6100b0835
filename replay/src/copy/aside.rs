//! The table beside the subscriber's table: a copy loads rows there if nobody is to see them before all rows are in.

use sha2::{Digest, Sha256};
use sql::{
    name::TableName,
    subscriber::table_state::{Existing, TableRow},
};
use tokio_postgres::Client;

use crate::{apply::table::Target, trouble::Trouble};

/// What the copy does with rows that the table holds. The rows of an unfinished try belong to nobody: the
/// table is emptied then, whatever is to be done with rows that were there before. A table that other jobs write, too,
/// is never emptied: the job's rows are loaded beside it, and replace those that it has there.
pub(super) fn treatment(row: &TableRow) -> Existing {
    let empties = matches!(row.existing, Existing::Refuse | Existing::Truncate);
    if row.mapping.merge.is_some() && empties {
        Existing::Swap
    } else if row.loading {
        Existing::Truncate
    } else {
        row.existing
    }
}

/// The table that parts are loaded into.
pub(super) fn loaded_table(row: &TableRow, target: &Target, consumer: &str) -> TableName {
    match treatment(row) {
        Existing::Refuse | Existing::Truncate | Existing::Trust => target.name.clone(),
        Existing::Keep | Existing::Swap | Existing::Keys => name(row, consumer),
    }
}

/// The name of the table beside the subscriber's.
///
/// The name contains a digest of the consumer's name, because the providers of two jobs may number their tables alike:
/// the copy of one job would drop the table of the other. The consumer's name itself may be too long.
pub(super) fn name(row: &TableRow, consumer: &str) -> TableName {
    let digest = Sha256::digest(consumer.as_bytes());
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    TableName::new("trunkline", format!("copy_{}_{digest}", row.provider_oid))
}

/// Makes the table. The table belongs to replay and has no types of the owner's; the owner may read it. It is no
/// unlogged table, because an unlogged table would be empty after a crash.
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

/// Brings the loaded rows into the subscriber's table and drops the table beside it. With `only_these` the other rows
/// of the subscriber's table are deleted.
pub(super) async fn merge(
    row: &TableRow,
    target: &Target,
    session: &Client,
    consumer: &str,
    only_these: bool,
) -> Result<(), Trouble> {
    let doing = "could not bring the copied rows in on the subscriber";
    let aside = name(row, consumer);
    if let Some(question) = target.outside(&aside.quoted()) {
        let outside = target.acting.lines(session, &question).await;
        if !outside
            .map_err(Trouble::at_table(&row.table, doing))?
            .is_empty()
        {
            return Err(target.row_outside());
        }
    }
    for statement in &target.merge_statements(&aside, only_these) {
        let merged = target.acting.execute(session, statement).await;
        merged
            .map_err(Trouble::at_table(&row.table, doing))
            .map_err(|trouble| target.advised(trouble))?;
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
