//! One subscriber of the job: its databases, and what its tasks share. The truth is in the databases; here are only
//! names, settings and hints to look again.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use admin::{config::ArchiveSource, daemon::Beat};
use sql::{
    connect::{ApplicationName, CancelToken, ConnectInfo, Pool, Purpose, Session},
    install::ownership::Schema,
    name::TableName,
    subscriber::{conflict::OnConflict, session_role::SessionRole, table_state::TableRow},
};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{heard::Heard, stats::Totals, told::Told};
use crate::{
    join::choose::AutoAdd,
    queue::ticks::{Requests, Ticks},
    reading::{shared::Readers, tick_by_tick::TickByTick},
    table::PARKED_REST,
    trouble::Trouble,
};

/// The server that a session goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerSide {
    Provider,
    Subscriber,
}

/// The settings of a job, from its config.
#[derive(Clone, Debug)]
pub(crate) struct JobSettings {
    /// The job's name.
    pub job: String,
    /// The provider's queue.
    pub queue: String,
    /// Events merged into one batch when behind.
    pub max_batch_events: i64,
    /// Bytes of changes that are held in memory before they are written.
    pub chunk_bytes: usize,
    /// Streams that copy at once, of all tables together.
    pub parallel_copies: usize,
    /// What happens when a row is not as its change says.
    pub on_conflict: OnConflict,
    /// The role that tables are written in.
    pub session_role: SessionRole,
    /// The tables that are added as soon as they exist.
    pub auto_add: AutoAdd,
    /// The longest rest between two tries after trouble.
    pub retry_delay: Duration,
    /// Ordinary sessions do not write the subscriber's tables.
    pub standby: bool,
    /// A standby logs what it applies where others could need it.
    pub relay: bool,
    /// The archives that the subscriber is fed from where the queue has given its events away.
    pub archives: Arc<[ArchiveSource]>,
    /// The provider is one of several hosts: the role of the subscriber may change while the daemon runs.
    pub of_several: bool,
}

impl JobSettings {
    /// Whether there are archives that the subscriber can be fed from.
    pub(crate) fn has_archives(&self) -> bool {
        !self.archives.is_empty()
    }

    /// How long a parked table rests between two tries.
    pub(crate) fn parked_rest(&self) -> Duration {
        PARKED_REST.min(self.retry_delay)
    }
}

/// One subscriber of a running job.
pub(crate) struct Subscription {
    /// The job's settings.
    pub settings: JobSettings,
    /// The consumer's name in the provider's queue.
    pub consumer: String,
    /// How the provider is reached.
    pub provider: ConnectInfo,
    /// How the subscriber is reached.
    pub subscriber: ConnectInfo,
    /// Whether scripts of the provider run on the subscriber.
    pub allow_execute: bool,
    /// Whether columns of its tables are changed as the provider's were (`replicate_ddl`).
    pub replicates_columns: bool,
    /// A permit for each stream that copies, and for each session that builds an index: `parallel_copies`. The longest
    /// waiting task gets the next permit, so a new table waits for one part at most.
    pub streams: Arc<Semaphore>,
    /// A permit for each table whose rows are being copied; there are as many as streams.
    pub tables: Arc<Semaphore>,
    /// A permit for each table that catches up, which takes two sessions.
    pub catch_ups: Semaphore,
    /// Sessions for reading tables that are copied.
    pub copy_out: Pool,
    /// Sessions for writing tables that are copied.
    pub copy_in: Pool,
    /// The readers of the queue, for all subscribers of the job.
    pub readers: Arc<Readers>,
    /// Whether the subscriber's batches are one tick each.
    pub tick_by_tick: TickByTick,
    /// The counters of the subscriber.
    pub totals: Arc<Totals>,
    /// Hints that there may be a new tick.
    pub ticks: Ticks,
    /// Hints that a command has changed the list of tables.
    pub requests: Requests,
    /// Hint for the batch loop: tables want to be taken over.
    pub for_loop: Notify,
    /// The tables that want to be taken over. The list is a hint, too: the loop reads their rows, and now and then the
    /// rows of all such tables.
    pub(crate) wanting: std::sync::Mutex<Vec<TableName>>,
    /// Hint for the table tasks: a table's state has changed.
    pub for_tables: Notify,
    /// Hint for the table tasks: the position has moved, so the provider can be told.
    pub for_provider: Notify,
    /// What was heard last of the nodes above.
    pub(crate) heard: std::sync::Mutex<Heard>,
    /// Held while helper consumers are made or cleared away. Otherwise a helper that was made for a state that is not
    /// stored yet would be taken for a left-over.
    pub helpers: Mutex<()>,
    /// Handles to cancel the statement of the newest session of each purpose.
    pub(crate) statements: std::sync::Mutex<HashMap<(ServerSide, Purpose), CancelToken>>,
    /// Signs of life of the batch loop.
    pub(crate) loop_beat: Beat,
    /// Signs of life of the table tasks.
    pub(crate) tables_beat: Beat,
    /// What the operator has been told of this subscriber's trouble.
    pub(crate) told: std::sync::Mutex<Told>,
    /// The queue has given away what follows the position, and holds nothing for the subscriber.
    pub(crate) given_away: AtomicBool,
    /// The archive that batches are read from, or none for the queue; none at all: not known yet.
    pub(crate) source: std::sync::Mutex<Option<Option<Arc<str>>>>,
    /// The program must end as soon as the running work is finished.
    pub stop: CancellationToken,
}

impl Subscription {
    /// The archive that batches are read from, or none for the queue; none at all: not known yet.
    pub(crate) fn source(&self) -> Option<Option<Arc<str>>> {
        self.source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes where batches are read from: an archive, or the queue.
    pub(crate) fn set_source(&self, source: Option<Arc<str>>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    /// Whether the queue holds what follows the position, as far as the batch loop knows.
    pub(crate) fn is_held(&self) -> bool {
        !self.given_away.load(Ordering::Relaxed)
    }

    /// Notes whether the queue holds what follows the position.
    pub(crate) fn set_held(&self, is_held: bool) {
        self.given_away.store(!is_held, Ordering::Relaxed);
    }

    /// A session to the provider, named by its purpose.
    pub(crate) async fn provider_session(&self, purpose: Purpose) -> Result<Session, Trouble> {
        let session = self
            .provider
            .connect_for(
                &ApplicationName::new(purpose, &self.settings.job),
                Schema::PROVIDER,
            )
            .await
            .map_err(Trouble::connect("provider"))?;
        self.remember(ServerSide::Provider, purpose, &session);
        Ok(session)
    }

    /// A session to the subscriber, named by its purpose.
    pub(crate) async fn subscriber_session(&self, purpose: Purpose) -> Result<Session, Trouble> {
        let session = self
            .subscriber
            .connect_for(
                &ApplicationName::new(purpose, &self.settings.job),
                Schema::SUBSCRIBER,
            )
            .await
            .map_err(Trouble::connect("subscriber"))?;
        self.remember(ServerSide::Subscriber, purpose, &session);
        Ok(session)
    }

    /// A session to ask the provider about a table's filter; none if the table has no filter.
    pub(crate) async fn filter_session(&self, row: &TableRow) -> Result<Option<Session>, Trouble> {
        match row.mapping.filter {
            Some(_) => self.provider_session(Purpose::Filter).await.map(Some),
            None => Ok(None),
        }
    }

    /// Tells the batch loop that a table wants to be taken over.
    pub(crate) fn wants_over(&self, table: &TableName) {
        self.wanting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(table.clone());
        self.for_loop.notify_one();
    }

    /// Takes the tables that want to be taken over out of the list.
    pub(crate) fn take_wanting(&self) -> Vec<TableName> {
        std::mem::take(&mut *self.wanting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember(&self, side: ServerSide, purpose: Purpose, session: &Session) {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((side, purpose), session.cancel_token());
    }

    /// Asks the servers to cancel the statements of this subscriber. For a session that is gone the request has no
    /// effect.
    pub(crate) async fn cancel_statements(&self) {
        let tokens: Vec<CancelToken> = self
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain()
            .map(|(_, token)| token)
            .collect();
        futures::future::join_all(tokens.iter().map(|token| async {
            if let Err(error) = token.cancel().await {
                debug!(%error, "a statement could not be cancelled");
            }
        }))
        .await;
    }
}
