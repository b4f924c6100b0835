//! The files of a copy's rows on the subscriber: loaded parts are lost when somebody empties the table or makes it
//! anew, and no error tells of it. Reads the catalog and locks; writes nothing.

use sql::{name::TableName, subscriber::partitions};

use crate::trouble::Trouble;

/// The files of a table and its partitions, each named by its table's oid and its own number. A loaded part is in them
/// as long as they are the table's files: TRUNCATE and every command that rewrites a table give it other files, and a
/// table that is made again has another oid.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(Vec<String>);

impl Files {
    pub(super) async fn of(
        session: &tokio_postgres::Client,
        table: &TableName,
        target: &TableName,
    ) -> Result<Files, Trouble> {
        partitions::files(session, target)
            .await
            .map(Files)
            .map_err(Trouble::sql_at_table(
                table,
                "could not look for its files on the subscriber",
            ))
    }

    /// Fails unless all of the files are still the table's, and keeps them so until the transaction's end.
    pub(super) async fn still_hold(
        &self,
        session: &tokio_postgres::Client,
        table: &TableName,
        target: &TableName,
    ) -> Result<(), Trouble> {
        if self.0.is_empty() {
            return Ok(());
        }
        session
            .batch_execute(&format!(
                "lock table {} in access share mode",
                target.quoted()
            ))
            .await
            .map_err(Trouble::at_table(
                table,
                "could not lock it on the subscriber",
            ))?;
        let now = Files::of(session, table, target).await?;
        if self.0.iter().all(|file| now.0.contains(file)) {
            return Ok(());
        }
        Err(changed(table))
    }
}

/// The trouble of a table that is another one than the table that the copy began with.
pub(super) fn changed(table: &TableName) -> Trouble {
    Trouble::misfit(
        table,
        "it was emptied, made or written anew, or given to another owner, on the subscriber \
         while it was copied"
            .into(),
        "leave it alone until it is ok: it is copied again by itself",
    )
}
