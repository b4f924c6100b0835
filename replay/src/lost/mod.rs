//! What a provider of the past has taken after the place where a later one has begun. It belongs to no other node, and
//! is kept for a person before a row of it is touched.
//!
//! 1. The node is fenced. A tick shows all that was written here (`trunkline.lost_stretch`).
//! 2. Its own log is read from the place on, as a subscriber reads a provider's. Each change goes to two files that
//!    have no name yet, and to `trunkline.lost_change` in a transaction that is open.
//! 3. The files are written through to the disk, and get their names.
//! 4. The transaction commits, with an event for the programs beside the node.
//! 5. The changes are sent to the provider, in one transaction there; then it is noted here that they are.
//!
//! The process may die between any two steps. Before step 4 nothing is stored, and all of it is done again: the files
//! have the same names, and are replaced. After it step 5 is done until it is noted; it replaces what it has sent.

mod change;
mod file;

use std::path::PathBuf;

use admin::config::ReplayConfig;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    event_log,
    install::ownership::Schema,
    lost::{self, Finding, Keeper, Lost, LostChange, Stretch},
    provider::Batch,
    queue::{
        lineage::Lineage,
        tick::{Tick, TickId, TickTag},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::file::Files;
use crate::{queue::batches::Queue, trouble::Trouble};

/// The changes of one statement.
const PORTION: usize = 1_000;

/// A node that keeps what it has taken.
#[derive(Debug, Clone)]
pub(crate) struct Keeping {
    /// The node's own database.
    pub own: ConnectInfo,
    /// What its sessions are called.
    pub name: ApplicationName,
    /// The queue.
    pub queue: String,
    /// Where the files are.
    pub directory: PathBuf,
}

impl Keeping {
    /// What the config says of the node whose own database is `own`.
    pub(crate) fn of(config: &ReplayConfig, own: &ConnectInfo) -> Keeping {
        Keeping {
            own: own.clone(),
            name: ApplicationName::new(Purpose::Meeting, &config.daemon.job_name),
            queue: config.queue.clone(),
            directory: config.lost_dir.clone(),
        }
    }

    /// Keeps what is new here; asked over `own`, a session to the own database. Nothing is done if there is nothing
    /// new, or if all is kept already.
    ///
    /// # Errors
    /// If a database or the directory cannot be used; then nothing is stored.
    pub(crate) async fn find(
        &self,
        own: &Session,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let Some(stretch) = lost::stretch(&**own, &self.queue).await? else {
            return Ok(());
        };
        let keeping = self.session(&self.own, Schema::SUBSCRIBER).await?;
        self.keep(&keeping, stretch, stop).await
    }

    async fn session(&self, at: &ConnectInfo, schema: &[Schema]) -> Result<Session, Trouble> {
        let session = at.connect_for(&self.name, schema).await;
        session.map_err(Trouble::connect("database"))
    }

    /// Steps 2 to 4.
    async fn keep(
        &self,
        keeping: &Session,
        stretch: Stretch,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let mut kept = Kept {
            session: keeping,
            queue: &self.queue,
            lost: stretch.lost.clone(),
            files: None,
            portion: Vec::new(),
            is_first: true,
        };
        let begun = keeping.batch_execute("begin").await;
        begun.map_err(Trouble::database("could not keep lost changes"))?;
        if let Some(events_sql) = stretch.events_sql {
            let files = Files::create(&self.directory, &kept.lost, &self.queue)?;
            kept.lost.file = Some(files.name());
            kept.files = Some(files);
            let batch = batch(&kept.lost, events_sql);
            let session = self.session(&self.own, Schema::PROVIDER).await?;
            let mut queue = Queue::open(session, &self.queue, None).await?;
            let mut events = queue.events(&batch).await?;
            let mut number = 0;
            while let Some((_, event)) = events.next().await? {
                if stop.is_cancelled() {
                    return Ok(());
                }
                for change in change::changes(&event, &mut number) {
                    kept.take(change).await?;
                }
            }
        }
        kept.close(stretch.provider).await
    }

    /// Step 5: sends what is kept here and not on the provider yet.
    ///
    /// # Errors
    /// If a database cannot be used, or the session's role there may not keep them.
    pub(crate) async fn send(
        &self,
        finding: &Finding,
        provider: &ConnectInfo,
    ) -> Result<(), Trouble> {
        let own = self.session(&self.own, Schema::SUBSCRIBER).await?;
        let there = self.session(provider, Schema::PROVIDER).await?;
        let doing = "could not keep lost changes on the provider";
        let begun = there.batch_execute("begin").await;
        begun.map_err(Trouble::database(doing))?;
        let (lost, queue) = (&finding.lost, self.queue.as_str());
        let (mut after, mut is_first) = (-1, true);
        loop {
            // So many that their number fits.
            let limit = i64::try_from(PORTION).unwrap_or(i64::MAX);
            let portion = lost::changes(&*own, queue, lost.place(), after, limit).await?;
            if portion.is_empty() && !is_first {
                break;
            }
            lost::keep(&*there, Keeper::Provider, queue, lost, &portion, is_first).await?;
            is_first = false;
            let Some(last) = portion.last() else { break };
            after = last.number;
        }
        let done = there.batch_execute("commit").await;
        done.map_err(Trouble::database(doing))?;
        lost::note_sent(&*own, queue, lost.place(), lost.upto_id).await?;
        Ok(())
    }

    /// What is kept of this node's own log and waits for a person.
    ///
    /// # Errors
    /// If the database cannot be asked.
    pub(crate) async fn waiting(&self, own: &Session) -> Result<Option<Finding>, Trouble> {
        let findings = lost::findings(&**own, Some(&self.queue)).await?;
        let mut findings = findings.into_iter();
        Ok(findings.find(|finding| finding.own && finding.handled.is_none()))
    }
}

/// The stretch as a batch.
fn batch(lost: &Lost, events_sql: String) -> Batch {
    Batch {
        to: Tick {
            id: TickId(lost.upto_id),
            tag: TickTag(lost.upto_tag),
        },
        to_time: std::time::SystemTime::UNIX_EPOCH,
        events_sql,
        lineage: Lineage::default(),
    }
}

/// A stretch that is being kept.
struct Kept<'a> {
    session: &'a Session,
    queue: &'a str,
    lost: Lost,
    /// None: the log does not hold the stretch.
    files: Option<Files>,
    portion: Vec<LostChange>,
    is_first: bool,
}

impl Kept<'_> {
    async fn take(&mut self, change: change::Told) -> Result<(), Trouble> {
        if let Some(files) = &mut self.files {
            files.write(&change)?;
        }
        self.portion.push(change.change);
        if self.portion.len() >= PORTION {
            self.store().await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<(), Trouble> {
        lost::keep(
            &**self.session,
            Keeper::Own,
            self.queue,
            &self.lost,
            &self.portion,
            self.is_first,
        )
        .await?;
        self.portion.clear();
        self.is_first = false;
        Ok(())
    }

    async fn close(mut self, provider: i64) -> Result<(), Trouble> {
        if self.is_first || !self.portion.is_empty() {
            self.store().await?;
        }
        if let Some(files) = self.files.take() {
            files.close()?;
        }
        let findings = lost::findings(&**self.session, Some(self.queue)).await?;
        let mut findings = findings.into_iter();
        let found = findings.find(|finding| finding.lost.place() == self.lost.place());
        let details = found.as_ref().map(Finding::describe).unwrap_or_default();
        let session = &**self.session;
        let other = Some(provider);
        event_log::tell(session, self.queue, "lost_changes", false, &details, other).await?;
        let done = self.session.batch_execute("commit").await;
        done.map_err(Trouble::database("could not keep lost changes"))?;
        if let Some(Finding {
            changes,
            tables,
            lost,
            ..
        }) = found
        {
            let (tick, file) = (lost.tick_id, lost.file.unwrap_or_default());
            warn!(queue = %self.queue, tick, changes, %tables, %file, "lost changes found");
        }
        Ok(())
    }
}
