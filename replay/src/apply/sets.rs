//! Large change sets: rows and keys are staged by COPY and written by statements over sets.
//!
//! The quick way takes it that the subscriber holds what the changes say, and checks the
//! counts. The careful way finds the rows that differ, stores them as conflicts and lets the
//! provider's row win; where a second unique index or an exclusion constraint does not let an
//! order of update and insert pass, it replaces the rows: deletes all of them, then inserts.

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use sql::{conflict::Kind, row};
use tokio_postgres::{Client, Error, SimpleQueryMessage, error::SqlState};

use super::target::{SetStatements, Target};
use crate::fold::ChangeSet;

/// COPY text is sent in pieces of about this size.
const COPY_PIECE_BYTES: usize = 64 * 1024;

/// Keys, as record text, of rows that were not as a set said.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) missing: Vec<String>,
    pub(super) existing: Vec<String>,
    /// A statement did not touch each row once: a trigger or rule of the subscriber's takes
    /// rows away, or its table holds a key more than once. No order of statements mends that.
    pub(super) unruly: bool,
}

impl Differences {
    pub(super) fn by_kind(&self) -> [(Kind, &[String]); 2] {
        [
            (Kind::Missing, &self.missing),
            (Kind::Exists, &self.existing),
        ]
    }
}

/// Writes sets of one target through the staging tables of a session.
pub(super) struct SetWriter<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) statements: &'a SetStatements,
}

impl SetWriter<'_> {
    /// Writes a set that is taken to fit. False if a count was not as expected: then the
    /// caller rolls back to before the call.
    pub(super) async fn write_quickly(&self, set: &ChangeSet) -> Result<bool, Error> {
        let sql = self.statements;
        if !set.deletes.is_empty() {
            let staged = self.stage_keys(&set.deletes).await?;
            if self.run(&sql.delete).await? != staged {
                return Ok(false);
            }
        }
        if !set.gone.is_empty() {
            self.stage_keys(&set.gone).await?;
            self.run(&sql.delete).await?;
        }
        if !set.updates.is_empty() {
            let staged = self.stage_rows(&set.updates).await?;
            if self.update(&sql.insert).await? != staged {
                return Ok(false);
            }
        }
        if !set.puts.is_empty() && !self.put(&set.puts).await? {
            return Ok(false);
        }
        if !set.inserts.is_empty() {
            let staged = self.stage_rows(&set.inserts).await?;
            if self.run(&sql.insert).await? != staged {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a set whose rows may differ, and says which did.
    pub(super) async fn write_carefully(&self, set: &ChangeSet) -> Result<Differences, Error> {
        let sql = self.statements;
        let mut differences = Differences::default();
        if !set.deletes.is_empty() {
            let staged = self.stage_keys(&set.deletes).await?;
            differences.missing = self.keys(&sql.missing_keys).await?;
            let deleted = self.run(&sql.delete).await?;
            differences.unruly |= deleted + count(&differences.missing) != staged;
        }
        if !set.gone.is_empty() {
            self.stage_keys(&set.gone).await?;
            self.run(&sql.delete).await?;
        }
        if !set.updates.is_empty() {
            let staged = self.stage_rows(&set.updates).await?;
            let mut missing = self.keys(&sql.missing_rows).await?;
            differences.unruly |= !self.put_staged(staged).await?;
            differences.missing.append(&mut missing);
        }
        if !set.puts.is_empty() {
            differences.unruly |= !self.put(&set.puts).await?;
        }
        if !set.inserts.is_empty() {
            let staged = self.stage_rows(&set.inserts).await?;
            differences.existing = self.keys(&sql.existing_rows).await?;
            differences.unruly |= !self.put_staged(staged).await?;
        }
        Ok(differences)
    }

    /// Deletes every row that the set is about and inserts those that stay. For a table
    /// without columns of its own, whose values would be lost.
    pub(super) async fn replace(&self, set: &ChangeSet) -> Result<Differences, Error> {
        let sql = self.statements;
        let mut differences = Differences::default();
        for (keys, must_exist) in [(&set.deletes, true), (&set.gone, false)] {
            if !keys.is_empty() {
                self.stage_keys(keys).await?;
                if must_exist {
                    differences.missing = self.keys(&sql.missing_keys).await?;
                }
                self.run(&sql.delete).await?;
            }
        }
        if !set.updates.is_empty() {
            self.stage_rows(&set.updates).await?;
            differences
                .missing
                .append(&mut self.keys(&sql.missing_rows).await?);
        }
        if !set.inserts.is_empty() {
            self.stage_rows(&set.inserts).await?;
            differences.existing = self.keys(&sql.existing_rows).await?;
        }
        let all: Vec<Bytes> = [&set.updates, &set.puts, &set.inserts]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if !all.is_empty() {
            let staged = self.stage_rows(&all).await?;
            self.run(&sql.delete_rows).await?;
            differences.unruly |= self.run(&sql.insert).await? != staged;
        }
        Ok(differences)
    }

    async fn put(&self, rows: &[Bytes]) -> Result<bool, Error> {
        let staged = self.stage_rows(rows).await?;
        self.put_staged(staged).await
    }

    /// Sets the staged rows that are there, adds the others. False if that were not as many
    /// as are staged.
    async fn put_staged(&self, staged: u64) -> Result<bool, Error> {
        let sql = self.statements;
        if self.target.can_update() {
            let there = self.run(&sql.update).await?;
            let added = self.run(&sql.insert_missing).await?;
            return Ok(there + added == staged);
        }
        self.run(&sql.delete_rows).await?;
        Ok(self.run(&sql.insert).await? == staged)
    }

    /// Sets the staged rows that are there; `insert` puts them back where UPDATE cannot set
    /// all columns. The number of rows that were there.
    async fn update(&self, insert: &str) -> Result<u64, Error> {
        if self.target.can_update() {
            return self.run(&self.statements.update).await;
        }
        let there = self.run(&self.statements.delete_rows).await?;
        self.run(insert).await?;
        Ok(there)
    }

    async fn stage_keys(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let fields: Vec<usize> = (0..self.target.key_fields.len()).collect();
        self.run(&self.statements.clear_keys).await?;
        copy_rows(
            self.client,
            &self.statements.copy_keys,
            keys.iter(),
            &fields,
        )
        .await
    }

    async fn stage_rows(&self, rows: &[Bytes]) -> Result<u64, Error> {
        self.run(&self.statements.clear_rows).await?;
        copy_rows(
            self.client,
            &self.statements.copy_rows,
            rows.iter(),
            &self.target.fields,
        )
        .await
    }

    /// Runs a statement in one round trip and gives the rows that it touched.
    async fn run(&self, statement: &str) -> Result<u64, Error> {
        let messages = self.client.simple_query(statement).await?;
        Ok(messages
            .iter()
            .map(|message| {
                if let SimpleQueryMessage::CommandComplete(rows) = message {
                    *rows
                } else {
                    0
                }
            })
            .sum())
    }

    async fn keys(&self, statement: &str) -> Result<Vec<String>, Error> {
        let messages = self.client.simple_query(statement).await?;
        let mut keys = Vec::new();
        for message in &messages {
            if let SimpleQueryMessage::Row(row) = message {
                keys.extend(row.try_get(0)?.map(str::to_owned));
            }
        }
        Ok(keys)
    }
}

/// Loads rows by a COPY statement; how many.
pub(super) async fn copy_rows(
    client: &Client,
    statement: &str,
    rows: impl Iterator<Item = &Bytes>,
    fields: &[usize],
) -> Result<u64, Error> {
    let sink = client.copy_in::<_, Bytes>(statement).await?;
    futures::pin_mut!(sink);
    let mut piece = BytesMut::with_capacity(2 * COPY_PIECE_BYTES);
    for text in rows {
        row::to_copy_text(text, fields, &mut piece);
        if piece.len() >= COPY_PIECE_BYTES {
            sink.feed(piece.split().freeze()).await?;
        }
    }
    sink.feed(piece.freeze()).await?;
    sink.finish().await
}

fn count(keys: &[String]) -> u64 {
    keys.len() as u64
}

/// Whether an error says that rows are in each other's way, so that another order may do.
pub(super) fn is_in_the_way(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNIQUE_VIOLATION || *code == SqlState::EXCLUSION_VIOLATION
    })
}
