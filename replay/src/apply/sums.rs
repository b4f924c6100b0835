//! Tables without a key: the rows that were added and deleted are collected over a whole batch in two staging tables,
//! and only the sum is written, at the batch's end.
//!
//! Within a transaction an event may delete a row before another event adds it (a statement within another is logged
//! first), so no part of a transaction can be written by itself.

use bytes::Bytes;
use sql::queue::tick::TickId;
use tokio_postgres::{Client, Error};

use super::{
    ApplyTx,
    staged::{Differences, feed},
    table::Staging,
    writable::Writable,
};
use crate::{fold::ChangeSet, trouble::Trouble};

/// Stages a set's sums.
pub(super) async fn stage(
    client: &Client,
    writable: &Writable,
    set: &ChangeSet,
) -> Result<(), Error> {
    let repeated = |is_wanted: fn(i64) -> bool| {
        let sums = set.sums.iter().filter(move |(_, n)| is_wanted(*n));
        sums.flat_map(|(row, n)| (0..n.unsigned_abs()).map(move |_| row))
    };
    let fields = &writable.target.fields;
    let plus: Vec<&Bytes> = repeated(i64::is_positive).collect();
    if !plus.is_empty() {
        let sink = client.copy_in(&writable.sums.copy_plus).await?;
        feed(sink, plus, fields).await?;
    }
    let minus: Vec<&Bytes> = repeated(i64::is_negative).collect();
    if !minus.is_empty() {
        let sink = client.copy_in(&writable.sums.copy_minus).await?;
        feed(sink, minus, fields).await?;
    }
    Ok(())
}

/// The result of writing a table's sums.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The text of rows that had to be deleted and did not exist.
    pub(super) missing: Vec<String>,
    /// A trigger or rule of the subscriber drops rows.
    pub(super) unruly: bool,
    /// A row is not this job's, by the condition of `--merge`; nothing is written then.
    pub(super) outside: bool,
}

/// Writes a table's sums. The rows stay in its staging tables until the transaction ends.
pub(super) async fn write(client: &Client, writable: &Writable) -> Result<Written, Error> {
    let sql = &writable.sums;
    let mut written = Written::default();
    let acting = &writable.target.acting;
    if let Some(question) = &sql.outside {
        written.outside = !acting.lines(client, question).await?.is_empty();
        if written.outside {
            return Ok(written);
        }
    }
    let counts = acting.lines(client, &sql.counts).await?;
    let is_any = |count: Option<&String>| count.is_some_and(|count| count != "0");
    // A statement is sent only if it has rows to touch: a table that only grows need not allow a DELETE, and its
    // triggers on DELETE do not fire.
    if is_any(counts.first()) {
        written.missing = acting.lines(client, &sql.take_away).await?;
    }
    if is_any(counts.get(1)) {
        let added = acting.execute(client, &sql.add).await?;
        written.unruly = counts.get(1) != Some(&added.to_string());
    }
    Ok(written)
}

impl ApplyTx<'_> {
    /// Prepares the staging tables before sums of a table are staged: sums of an older shape are written, and the
    /// staged rows of a table that was emptied are forgotten.
    pub(super) async fn make_room_for_sums(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if set.shape.has_key() {
            return Ok(());
        }
        let table = set.shape.table_name();
        if set.truncate {
            for old in self.done.pending.take(set.shape.table.oid, None) {
                self.run_at(&old.sums.clear, &table, "could not empty a staging table")
                    .await?;
            }
        }
        for old in self.done.pending.take(set.shape.table.oid, Some(set)) {
            self.write_sums(&old, tick).await?;
        }
        self.make(writable, Staging::Sums).await?;
        if self.done.pending.take_written(set.shape.shape) {
            self.run_at(
                &writable.sums.clear,
                &table,
                "could not empty a staging table",
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn write_sums(
        &mut self,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = writable.target.shape.table_name();
        let written = write(&self.applier.session, writable)
            .await
            .map_err(Trouble::at_table(
                &table,
                "could not write its rows on the subscriber",
            ))?;
        self.done.pending.written(writable.target.shape.shape);
        let differences = Differences {
            missing: written.missing,
            unruly: written.unruly,
            outside: written.outside,
            ..Differences::default()
        };
        self.judge(&writable.target, differences, tick).await
    }
}
