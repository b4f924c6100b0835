//! Large change sets: new rows are loaded by COPY; other rows and keys are staged by COPY and
//! written by statements over sets.
//!
//! The quick way assumes that the subscriber has the rows that the changes expect, and checks the counts. The careful
//! way finds the rows that differ, stores them as conflicts and lets the provider's row win. Rows that are in each
//! other's way are written by `gathered.rs`.

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use sql::{event::row, subscriber::conflict::ConflictKind};
use tokio_postgres::{Client, CopyInSink, Error};

use super::table::{SetStatements, Target};
use crate::fold::ChangeSet;

/// The size of the pieces in which COPY text is sent, about.
const COPY_PIECE_BYTES: usize = 64 * 1024;

/// Keys, as record text, of rows that were not as a set said.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) missing: Vec<String>,
    pub(super) existing: Vec<String>,
    /// A statement did not touch each row once: a trigger or rule of the subscriber drops rows, or its table holds a
    /// key more than once. No order of statements mends that.
    pub(super) unruly: bool,
    /// A row is not this job's, by the condition of `--merge`.
    pub(super) outside: bool,
}

impl Differences {
    pub(super) fn by_kind(&self) -> [(ConflictKind, &[String]); 2] {
        [
            (ConflictKind::Missing, &self.missing),
            (ConflictKind::Exists, &self.existing),
        ]
    }
}

/// Rows of at least this many bytes in the mean are likely to have values that are stored out of line (TOAST).
const LARGE_ROW_BYTES: usize = 2000;

/// What staging tables hold in the open transaction. They are emptied at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staged {
    rows: bool,
    keys: bool,
    /// The rows are large.
    large: bool,
}

/// Why a set could not be written.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server did not begin the COPY into the table itself. tokio-postgres gives the session up after that, so no
    /// further statement can be tried over the session.
    Refused(Error),
    /// A statement failed; the session goes on after a rollback.
    Statement(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Statement(error)
    }
}

/// The staging tables of a target for rows and keys of one kind, with the statements over them.
pub(super) struct Stage<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) statements: &'a SetStatements,
    pub(super) staged: &'a mut Staged,
}

/// Writes sets of one target, through staging tables if necessary. Rows and keys whose state before is not known have
/// staging tables of their own. So a small batch stages once in each table, and no table must be emptied in between.
pub(super) struct SetWriter<'a> {
    /// The staging tables for `deletes`, `updates` and `inserts`.
    pub(super) known: Stage<'a>,
    /// The staging tables for `gone` and `puts`.
    pub(super) unknown: Stage<'a>,
}

/// Whether [`SetWriter::write_quickly`] loads all rows of the set whose state before is known directly, so that it
/// needs no staging table for them.
pub(super) fn is_known_loaded(set: &ChangeSet, target: &Target) -> bool {
    let staged = set.deletes.len() + set.updates.len();
    staged == 0 && (target.takes_copy || set.inserts.is_empty())
}

impl SetWriter<'_> {
    /// Writes a set, assuming that its rows are as it says. False if a count was not as expected: then the caller rolls
    /// back to the state before the call.
    pub(super) async fn write_quickly(&mut self, set: &ChangeSet) -> Result<bool, Failed> {
        let (known, unknown) = (&mut self.known, &mut self.unknown);
        let sql = known.statements;
        if !set.deletes.is_empty() {
            let staged = known.stage_keys(&set.deletes).await?;
            if known.run(&sql.delete).await? != staged {
                return Ok(false);
            }
        }
        if !set.gone.is_empty() {
            unknown.stage_keys(&set.gone).await?;
            unknown.run(&unknown.statements.delete).await?;
        }
        if !set.updates.is_empty() {
            let staged = known.stage_rows(&set.updates).await?;
            if known.update(&sql.insert).await? != staged {
                return Ok(false);
            }
        }
        if !set.puts.is_empty() && !unknown.put(&set.puts).await? {
            return Ok(false);
        }
        if set.inserts.is_empty() {
            return Ok(true);
        }
        if known.target.takes_copy {
            let acting = &known.target.acting;
            if let Some(enter) = acting.enter() {
                known.client.batch_execute(&enter).await?;
            }
            let sink = known.client.copy_in::<_, Bytes>(&sql.load);
            let sink = sink.await.map_err(Failed::Refused)?;
            let loaded = feed(sink, &set.inserts, &known.target.fields).await?;
            if let Some(leave) = acting.leave() {
                known.client.batch_execute(leave).await?;
            }
            return Ok(loaded == set.inserts.len() as u64);
        }
        let staged = known.stage_rows(&set.inserts).await?;
        Ok(known.run(&sql.insert).await? == staged)
    }

    /// Writes a set whose rows may differ, and gives those that differ.
    pub(super) async fn write_carefully(&mut self, set: &ChangeSet) -> Result<Differences, Error> {
        let (known, unknown) = (&mut self.known, &mut self.unknown);
        let sql = known.statements;
        let mut differences = Differences::default();
        if !set.deletes.is_empty() {
            let staged = known.stage_keys(&set.deletes).await?;
            differences.missing = known.keys(&sql.missing_keys).await?;
            let there = staged.saturating_sub(count(&differences.missing));
            differences.unruly |= known.run_for(there, &sql.delete).await? != there;
        }
        if !set.gone.is_empty() {
            unknown.stage_keys(&set.gone).await?;
            unknown.run(&unknown.statements.delete).await?;
        }
        if !set.updates.is_empty() {
            let staged = known.stage_rows(&set.updates).await?;
            differences.outside |= known.is_outside().await?;
            let mut missing = known.keys(&sql.missing_rows).await?;
            let there = staged.saturating_sub(count(&missing));
            differences.unruly |= !known.put_staged(staged, there).await?;
            differences.missing.append(&mut missing);
        }
        if !set.puts.is_empty() {
            differences.unruly |= !unknown.put(&set.puts).await?;
            differences.outside |= unknown.is_outside().await?;
        }
        if !set.inserts.is_empty() {
            let staged = known.stage_rows(&set.inserts).await?;
            differences.outside |= known.is_outside().await?;
            differences.existing = known.keys(&sql.existing_rows).await?;
            let there = count(&differences.existing);
            differences.unruly |= !known.put_staged(staged, there).await?;
        }
        Ok(differences)
    }
}

impl Stage<'_> {
    async fn put(&mut self, rows: &[Bytes]) -> Result<bool, Error> {
        let staged = self.stage_rows(rows).await?;
        // How many of the rows exist is not known: at most all.
        self.put_staged(staged, staged).await
    }

    /// Updates the staged rows that exist, at most `there`, and inserts the others. False if these were not as many as
    /// are staged.
    async fn put_staged(&self, staged: u64, there: u64) -> Result<bool, Error> {
        let sql = self.statements;
        if self.target.can_update() {
            let there = self.run_for(there, self.update_statement()).await?;
            let missing = staged.saturating_sub(there);
            let added = self.run_for(missing, &sql.insert_missing).await?;
            return Ok(there + added == staged);
        }
        self.run_for(there, &sql.delete_rows).await?;
        Ok(self.run(&sql.insert).await? == staged)
    }

    /// Updates the staged rows that exist; where UPDATE cannot set all columns, they are deleted, and `insert` puts
    /// them back. Gives the number of rows that existed.
    async fn update(&self, insert: &str) -> Result<u64, Error> {
        if self.target.can_update() {
            return self.run(self.update_statement()).await;
        }
        let there = self.run(&self.statements.delete_rows).await?;
        self.run(insert).await?;
        Ok(there)
    }

    fn update_statement(&self) -> &str {
        if self.staged.large {
            &self.statements.update_changed
        } else {
            &self.statements.update
        }
    }

    pub(super) async fn stage_keys(&mut self, keys: &[Bytes]) -> Result<u64, Error> {
        let fields: Vec<usize> = (0..self.target.key_fields.len()).collect();
        if std::mem::replace(&mut self.staged.keys, true) {
            self.client
                .batch_execute(&self.statements.clear_keys)
                .await?;
        }
        let sink = self.client.copy_in(&self.statements.copy_keys).await?;
        feed(sink, keys, &fields).await
    }

    pub(super) async fn stage_rows(&mut self, rows: &[Bytes]) -> Result<u64, Error> {
        if std::mem::replace(&mut self.staged.rows, true) {
            self.client
                .batch_execute(&self.statements.clear_rows)
                .await?;
        }
        let bytes: usize = rows.iter().map(Bytes::len).sum();
        self.staged.large = bytes >= LARGE_ROW_BYTES * rows.len();
        let sink = self.client.copy_in(&self.statements.copy_rows).await?;
        feed(sink, rows, &self.target.fields).await
    }

    /// Whether a staged row is not this job's.
    pub(super) async fn is_outside(&self) -> Result<bool, Error> {
        match &self.statements.outside_rows {
            None => Ok(false),
            Some(question) => Ok(!self.keys(question).await?.is_empty()),
        }
    }

    /// Runs a statement over the table in one round trip and gives the number of rows that it touched.
    pub(super) async fn run(&self, statement: &str) -> Result<u64, Error> {
        self.target.acting.execute(self.client, statement).await
    }

    /// The same as `run` for a statement over so many rows. For no rows nothing is sent: the statement would require a
    /// right that is not needed, and fire triggers for nothing.
    async fn run_for(&self, rows: u64, statement: &str) -> Result<u64, Error> {
        if rows == 0 {
            return Ok(0);
        }
        self.run(statement).await
    }

    /// The keys that a query over the table gives.
    pub(super) async fn keys(&self, statement: &str) -> Result<Vec<String>, Error> {
        self.target.acting.lines(self.client, statement).await
    }
}

/// Sends fields of rows as COPY text and ends the COPY. Gives the number of rows that the server took.
pub(super) async fn feed(
    sink: CopyInSink<Bytes>,
    rows: impl IntoIterator<Item = &Bytes>,
    fields: &[usize],
) -> Result<u64, Error> {
    futures::pin_mut!(sink);
    let mut piece = BytesMut::with_capacity(2 * COPY_PIECE_BYTES);
    for text in rows {
        row::to_copy_text(text, fields, &mut piece);
        if piece.len() >= COPY_PIECE_BYTES {
            // A long row is sent in parts, because the connection copies each part once more.
            let mut whole = piece.split().freeze();
            while !whole.is_empty() {
                let part = whole.split_to(whole.len().min(2 * COPY_PIECE_BYTES));
                sink.feed(part).await?;
            }
        }
    }
    sink.feed(piece.freeze()).await?;
    sink.finish().await
}

fn count(keys: &[String]) -> u64 {
    keys.len() as u64
}
