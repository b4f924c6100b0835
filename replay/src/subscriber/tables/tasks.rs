//! Looks after the tables that are not `ok`: starts each table's own task, and has the provider told how far
//! everything is applied. Every look reads the truth again, and a task that waited for its turn does so once
//! more; what fails is done again.
//!
//! Many tables must not cost more than their number. So a look reads only tables that are under way, and rests in
//! proportion to the rows that it has read. Between two looks the next copies begin from the list of the last look.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use admin::daemon::Rests;
use sql::{
    connect::{Purpose, Session},
    name::TableName,
    subscriber::table_state::{self, TableRow},
};
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::{debug, error, warn};

use super::{
    applied::Applied,
    asked,
    pace::{Pace, TURN},
    sizes::Sizes,
    under_way,
};
use crate::{
    copy::{self, left_behind::Tending},
    subscriber::{hold, progress::Progress, shared::Subscription, told::TroubledPart},
    table::{self, Duty},
    trouble::Trouble,
};

/// How long a table rests first whose task failed for a transient reason; each further rest in a row is longer, up to
/// `retry_delay`.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The tables' tasks of one subscriber.
#[derive(Default)]
struct Tasks {
    running: JoinSet<Result<(), Trouble>>,
    tables: HashMap<Id, Running>,
    /// The tables whose copy can begin, as the last look found them; the last entry is the next one.
    waiting: Vec<QueuedTable>,
    resting: HashMap<u32, Rest>,
    sizes: Sizes,
    tending: Tending,
}

/// A running task, and its table.
struct Running {
    oid: u32,
    table: TableName,
    handle: AbortHandle,
}

/// A table that waits for its copy.
struct QueuedTable {
    bytes: i64,
    oid: u32,
    table: TableName,
}

/// The rest of a table after failures in a row.
struct Rest {
    until: Instant,
    rests: Rests,
}

/// Runs until asked to stop, or until the session to the subscriber is lost. When it ends, it ends the tables' tasks.
pub(crate) async fn run(sub: Arc<Subscription>, subscriber: Session) -> Result<(), Trouble> {
    let mut tasks = Tasks::default();
    loop {
        let trouble = match turns(&sub, &subscriber, &mut tasks).await {
            Ok(()) => return Ok(()),
            Err(trouble) => trouble,
        };
        if subscriber.is_closed() {
            return Err(trouble);
        }
        tell(&sub, &trouble).await;
        tokio::select! {
            () = tokio::time::sleep(TURN) => {}
            () = sub.stop.cancelled() => return Ok(()),
        }
    }
}

/// Reports trouble that only an operator can end: the batch loop may go on without meeting it, while no consumer holds
/// the queue.
async fn tell(sub: &Subscription, trouble: &Trouble) {
    match trouble {
        Trouble::Operator { .. } | Trouble::Table(_) => {
            sub.tell(TroubledPart::TableTasks, trouble).await;
        }
        // The batch loop meets this trouble too.
        Trouble::Passing { .. } | Trouble::Stale => {
            debug!(consumer = %sub.consumer, error = %trouble.log_line(), "table tasks wait");
        }
    }
}

async fn turns(
    sub: &Arc<Subscription>,
    subscriber: &Session,
    tasks: &mut Tasks,
) -> Result<(), Trouble> {
    let provider = sub.provider_session(Purpose::Admin).await?;
    hold::is_followed(sub, &provider, subscriber).await?;
    let mut requests = sub.requests.clone();
    let mut applied = Applied::default();
    let mut pace: Option<Pace> = None;
    let mut progress = Progress::default();
    loop {
        while let Some(ended) = tasks.running.try_join_next_with_id() {
            tasks.ended(sub, ended);
        }
        if pace
            .as_ref()
            .is_none_or(|pace| pace.next() <= Instant::now())
        {
            let rows = tasks.look(sub, &provider, subscriber).await?;
            pace = Some(Pace::looked_at(rows));
        }
        tasks.start_copies(sub);
        applied.tell_if_due(sub, &provider, subscriber).await?;
        progress.show(sub, subscriber).await?;
        sub.goes_on(TroubledPart::TableTasks).await;
        sub.tables_beat.beat();
        let moved = async {
            sub.for_provider.notified().await;
            tokio::time::sleep(applied.rest()).await;
        };
        let next_look = pace
            .as_ref()
            .map_or_else(|| Instant::now() + TURN, Pace::next);
        let hinted = tokio::select! {
            () = sub.for_tables.notified() => true,
            () = requests.wait() => true,
            () = moved => false,
            () = tokio::time::sleep_until(next_look.into()) => true,
            Some(ended) = tasks.running.join_next_with_id(), if !tasks.running.is_empty() => {
                tasks.ended(sub, ended);
                true
            }
            () = sub.stop.cancelled() => return Ok(()),
        };
        if let Some(pace) = pace.as_mut().filter(|_| hinted) {
            pace.hint();
        }
    }
}

impl Tasks {
    /// Reads the tables that are under way, and begins their work; copies are only listed, for [`Tasks::start_copies`].
    /// Gives the number of tables.
    async fn look(
        &mut self,
        sub: &Arc<Subscription>,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<usize, Trouble> {
        asked::take_out(sub, provider, subscriber).await?;
        let rows = under_way::read(sub, provider, subscriber).await?;
        self.end_removed(sub, subscriber, &rows).await?;
        self.sizes.measure(sub, provider, subscriber, &rows).await?;
        self.plan(sub, &rows);
        self.tending.turn(sub, provider, subscriber).await?;
        Ok(rows.len())
    }

    /// Ends the tasks of tables that were removed from the job: their locks on the provider would keep capture from
    /// being removed.
    async fn end_removed(
        &self,
        sub: &Subscription,
        subscriber: &Session,
        under_way: &[TableRow],
    ) -> Result<(), Trouble> {
        let under_way: HashSet<u32> = under_way.iter().map(|row| row.provider_oid).collect();
        for task in self.tables.values() {
            if under_way.contains(&task.oid) {
                continue;
            }
            // The table is in sync already and its statistics are being made, or it is gone.
            let row = table_state::find(&**subscriber, &sub.consumer, &task.table).await?;
            if row.is_none_or(|row| row.provider_oid != task.oid) {
                task.handle.abort();
            }
        }
        Ok(())
    }

    /// Starts tasks for tables whose rows are copied, and lists the tables whose copy can begin. Copied tables come
    /// first, because they hold the queue.
    fn plan(&mut self, sub: &Arc<Subscription>, rows: &[TableRow]) {
        let now = Instant::now();
        let busy: HashSet<u32> = self.tables.values().map(|task| task.oid).collect();
        self.waiting.clear();
        for row in rows {
            let oid = row.provider_oid;
            let rests = self.resting.get(&oid).is_some_and(|rest| rest.until > now);
            if rests || busy.contains(&oid) {
                continue;
            }
            match table::duty(row, sub.settings.parked_rest()) {
                Duty::Copy => self.waiting.push(QueuedTable {
                    bytes: self.sizes.of(oid),
                    oid,
                    table: row.table.clone(),
                }),
                Duty::CatchUp => {
                    let (sub, row) = (Arc::clone(sub), row.clone());
                    let table = row.table.clone();
                    self.spawn(oid, table, async move { copy::go_on(&sub, &row).await });
                }
                Duty::None => {}
            }
        }
        self.waiting.sort_by_key(|waiting| waiting.bytes);
    }

    /// Starts copies, the largest table first, as many at once as the settings allow.
    fn start_copies(&mut self, sub: &Arc<Subscription>) {
        while !self.waiting.is_empty()
            && let Ok(slot) = Arc::clone(&sub.tables).try_acquire_owned()
            && let Some(next) = self.waiting.pop()
        {
            let (sub, table) = (Arc::clone(sub), next.table.clone());
            self.spawn(next.oid, next.table, async move {
                copy::run(&sub, &table, slot).await
            });
        }
    }

    fn spawn(
        &mut self,
        oid: u32,
        table: TableName,
        task: impl Future<Output = Result<(), Trouble>> + Send + 'static,
    ) {
        let handle = self.running.spawn(task);
        let running = Running { oid, table, handle };
        self.tables.insert(running.handle.id(), running);
    }

    fn ended(
        &mut self,
        sub: &Subscription,
        ended: Result<(Id, Result<(), Trouble>), tokio::task::JoinError>,
    ) {
        let (id, trouble) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(trouble))) => (id, Some(trouble.log_line())),
            Err(broken) if broken.is_cancelled() => (broken.id(), None),
            Err(broken) => {
                error!(error = %broken, "a table's task broke off");
                (broken.id(), Some(broken.to_string()))
            }
        };
        let Some(Running { oid, .. }) = self.tables.remove(&id) else {
            return;
        };
        let Some(trouble) = trouble else {
            self.resting.remove(&oid);
            return;
        };
        let rest = self.resting.entry(oid).or_insert_with(|| Rest {
            until: Instant::now(),
            rests: Rests::new(FIRST_REST, sub.settings.retry_delay),
        });
        let length = rest.rests.next_rest();
        warn!(table_oid = oid, error = %trouble, seconds = length.as_secs(), "a table's task waits");
        rest.until = Instant::now() + length;
    }
}
