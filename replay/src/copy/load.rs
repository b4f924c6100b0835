//! Loads the parts of a table by several streams: each part is one COPY out under the shared snapshot, one COPY in, and
//! one transaction of the subscriber. A part that fails for a transient reason is loaded again while the snapshot
//! lives; the other parts stay.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use sql::{
    connect::Session,
    subscriber::copy_attempt::{Attempt, Claim},
};
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};
use tokio_postgres::error::SqlState;
use tracing::{debug, warn};

use super::{
    files,
    plan::CopyPart,
    pooled::Borrowed,
    progress::Progress,
    select::Select,
    source::Source,
    stream::{self, Gauge, Pipe},
};
use crate::{apply::table::Acting, subscriber::shared::Subscription, trouble::Trouble};

/// How many parts of one table may fail before the copy is given up and begins anew.
const FAILURES: u32 = 10;

/// The rest before a failed part is loaded again.
const REST: Duration = Duration::from_millis(500);

/// How often progress is looked at while parts are loaded.
const LOOK: Duration = Duration::from_millis(250);

/// The facts that all parts of a table's copy share.
pub(super) struct Load {
    pub(super) sub: Arc<Subscription>,
    pub(super) attempt: Attempt,
    /// How each relation of the source is read.
    pub(super) selects: Vec<Select>,
    /// Locks the table that is loaded; if that is the subscriber's own table, also checks that it is as it was when it
    /// was looked up.
    pub(super) lock: String,
    /// `copy ... from stdin`, without the form.
    pub(super) copy_in: String,
    /// How rows get from the table that COPY loads into the subscriber's table; none if COPY loads the subscriber's
    /// table.
    pub(super) staged: Option<StagedPart>,
    /// The statement before a COPY into the table itself, if its code needs one; no statement of ours follows in the
    /// transaction.
    pub(super) enter: Option<String>,
    /// Rows travel in binary form.
    pub(super) binary: bool,
    /// The shared snapshot's name.
    pub(super) exported: String,
    /// The session that exported the snapshot, if it reads the only part itself.
    pub(super) reads_itself: Option<Arc<Session>>,
    /// Rows and bytes loaded so far.
    pub(super) gauge: Gauge,
}

/// A part of a table that is written as its owner. In a COPY the owner's code on the table would run as replay's role.
pub(super) struct StagedPart {
    pub(super) acting: Acting,
    /// Makes the table that COPY loads, which lives until the commit.
    pub(super) make: String,
    /// Inserts the loaded rows into the subscriber's table.
    pub(super) insert: String,
}

/// Loads all parts.
pub(super) async fn run(
    load: &Arc<Load>,
    source: &Source,
    parts: Vec<CopyPart>,
    progress: &mut Progress<'_>,
) -> Result<(), Trouble> {
    let mut waiting: VecDeque<CopyPart> = parts.into();
    let mut running: JoinSet<(CopyPart, Result<(), Trouble>)> = JoinSet::new();
    let mut failures = 0;
    let mut look = tokio::time::interval(LOOK);
    // One request at a time, kept between turns, so that it keeps its place in the queue of requests.
    let mut stream = Box::pin(Arc::clone(&load.sub.streams).acquire_owned());
    while !(waiting.is_empty() && running.is_empty()) {
        tokio::select! {
            permit = &mut stream, if !waiting.is_empty() => {
                let permit = permit.map_err(|_| Trouble::Stale)?;
                stream = Box::pin(Arc::clone(&load.sub.streams).acquire_owned());
                if let Some(part) = waiting.pop_front() {
                    running.spawn(one(Arc::clone(load), part, permit));
                }
            }
            Some(ended) = running.join_next() => {
                let (part, result) = ended.map_err(Trouble::broken_off("a stream of a copy broke off"))?;
                let Err(trouble) = result else { continue };
                if !matches!(trouble, Trouble::Passing { .. }) {
                    return Err(trouble);
                }
                failures += 1;
                if failures > FAILURES || !source.is_alive().await {
                    return Err(trouble);
                }
                warn!(
                    table = %load.attempt.table,
                    part = part.number,
                    error = %trouble.log_line(),
                    "a part of a copy is loaded again"
                );
                tokio::time::sleep(REST).await;
                waiting.push_back(part);
            }
            _ = look.tick() => progress.show_if_due(&load.gauge).await,
        }
    }
    Ok(())
}

async fn one(
    load: Arc<Load>,
    part: CopyPart,
    stream: OwnedSemaphorePermit,
) -> (CopyPart, Result<(), Trouble>) {
    let result = load.part(&part).await;
    drop(stream);
    (part, result)
}

impl Load {
    async fn part(&self, part: &CopyPart) -> Result<(), Trouble> {
        let table = &self.attempt.table;
        let cannot_write = || Trouble::at_table(table, "could not write it on the subscriber");
        let into = Borrowed::from(&self.sub.copy_in, "subscriber").await?;
        let writing = into.client()?;
        // Nothing is lost if a crash takes this commit back: the part and its claim are lost together, and with them
        // the session that would call the copy complete. The commit of that session waits for the disk, and for
        // everything written before it. The lock comes before the claim. A later try empties the table, and either
        // waits for this transaction to end, or has emptied the table already, and then the claim says that this try is
        // over.
        writing
            .batch_execute(&format!(
                "begin isolation level read committed; {}; \
                 set local synchronous_commit = off; {}",
                self.sub.settings.session_role.for_transaction(),
                self.lock,
            ))
            .await
            .map_err(|error| match error.code() {
                // The lock says so of a table with another mark: a repetition would find the same.
                Some(&SqlState::T_R_SERIALIZATION_FAILURE) => files::changed(table),
                Some(_) | None => cannot_write()(error),
            })?;
        let claim = self.attempt.claim(writing, part.number).await?;
        match claim {
            Claim::Yours => {}
            Claim::Loaded => {
                debug!(%table, part = part.number, "the part's commit was in doubt, and is there");
                return Ok(());
            }
            Claim::Over => return Err(Trouble::Stale),
        }
        if let Some(staged) = &self.staged {
            writing
                .batch_execute(&staged.make)
                .await
                .map_err(cannot_write())?;
        }
        if let Some(enter) = &self.enter {
            writing.batch_execute(enter).await.map_err(cannot_write())?;
        }
        let sent = if let Some(session) = &self.reads_itself {
            self.stream(part, session, writing).await?
        } else {
            let from = Borrowed::from(&self.sub.copy_out, "provider").await?;
            let reading = from.client()?;
            self.join_snapshot(reading).await?;
            let sent = self.stream(part, reading, writing).await?;
            // A failed answer does no harm: the transaction has only read.
            if reading.batch_execute("commit").await.is_ok() {
                from.give_back();
            }
            sent
        };
        if let Some(staged) = self.staged.as_ref().filter(|_| sent > 0) {
            let kept = staged.acting.execute(writing, &staged.insert).await;
            stream::check_kept(table, sent, kept.map_err(cannot_write())?)?;
        }
        writing
            .batch_execute("commit")
            .await
            .map_err(cannot_write())?;
        into.give_back();
        Ok(())
    }

    async fn stream(
        &self,
        part: &CopyPart,
        reading: &tokio_postgres::Client,
        writing: &tokio_postgres::Client,
    ) -> Result<i64, Trouble> {
        let select = self.selects.get(part.relation).ok_or(Trouble::Stale)?;
        let form = if self.binary { " (format binary)" } else { "" };
        let pipe = Pipe {
            from: &format!("copy ({}) to stdout{form}", select.of(part)),
            into: &format!("{}{form}", self.copy_in),
            binary: self.binary,
            table: &self.attempt.table,
        };
        stream::copy(&pipe, reading, writing, &self.gauge).await
    }

    /// Begins a reading transaction under the shared snapshot. If the snapshot is gone, the copy has to begin anew.
    async fn join_snapshot(&self, reading: &tokio_postgres::Client) -> Result<(), Trouble> {
        let exported = sql::name::quote_literal(&self.exported);
        reading
            .batch_execute(&format!(
                "begin isolation level repeatable read read only; \
                 set transaction snapshot {exported}; \
                 set local row_security = off"
            ))
            .await
            .map_err(|error| {
                let table = &self.attempt.table;
                let doing = format!("table {table}: could not join the copy's snapshot");
                Trouble::passing(doing, anyhow::Error::new(error))
            })
    }
}
