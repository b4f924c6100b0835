//! Looks after the tables that are not `ok` and after the provider's view of this subscriber:
//! starts each table's own task, tells the provider how far everything is applied, and clears
//! helper consumers away that nobody needs any more. Every look reads the truth again, and a task
//! that waited for its turn does so once more; what fails is done again.
//!
//! Many tables must not cost more than their number: a look reads only tables that are under way,
//! and rests as long as it has read rows. Between two looks the next copies begin from the list of
//! the last one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    provider,
    queue::consumer,
    subscriber::{
        position,
        table_state::{self, Stand, TableRow},
    },
};
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::{debug, error, warn};

use crate::{
    copy::{self, left_behind::Tending},
    subscriber::{progress::Progress, shared::Subscription, told::Part},
    table::{self, Duty, helper},
    trouble::Trouble,
};

/// How often to look while no hint comes.
const TURN: Duration = Duration::from_secs(1);

/// How long a look rests for each table under way that it has read, so that it reads 200 rows a
/// second at most. With 1,000 tables each hint would else read 1,000 rows, and each table gives
/// several hints.
const REST_A_ROW: Duration = Duration::from_millis(5);

/// The longest rest of a look; then it reads more.
const LONGEST_LOOK_REST: Duration = Duration::from_secs(5);

/// The provider is told a few times a second at most, so that its subscription row stays small
/// under a held snapshot.
const BETWEEN_TELLS: Duration = Duration::from_millis(250);

/// A table whose task failed for a passing reason rests this long, doubled each time up to `retry_delay`.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The tables' tasks of one subscriber.
struct Tasks {
    running: JoinSet<Result<(), Trouble>>,
    tables: HashMap<Id, Running>,
    /// The tables whose copy can begin, as the last look found them; the next one is the last.
    waiting: Vec<Waiting>,
    resting: HashMap<u32, Rest>,
    /// How large the tables that wait for their copy are on the provider, in bytes.
    sizes: HashMap<u32, i64>,
    tending: Tending,
}

/// A running task, and which table it is for.
struct Running {
    oid: u32,
    table: TableName,
    handle: AbortHandle,
}

/// A table that waits for its copy.
struct Waiting {
    bytes: i64,
    oid: u32,
    table: TableName,
}

/// When to look again.
struct Pace {
    looked: Instant,
    /// A look is not due before.
    rested: Instant,
    hinted: bool,
}

impl Pace {
    fn looked_at(rows: usize) -> Pace {
        let looked = Instant::now();
        let rest = REST_A_ROW * u32::try_from(rows).unwrap_or(u32::MAX);
        Pace {
            looked,
            rested: looked + rest.min(LONGEST_LOOK_REST),
            hinted: false,
        }
    }

    fn next(&self) -> Instant {
        if self.hinted {
            self.rested
        } else {
            self.rested.max(self.looked + TURN)
        }
    }
}

/// A rest of a table after failures in a row.
struct Rest {
    until: Instant,
    length: Duration,
}

/// Runs until asked to stop, or until the session to the subscriber is lost. Ends the tables'
/// tasks when it ends.
pub(crate) async fn run(sub: Arc<Subscription>, subscriber: Session) -> Result<(), Trouble> {
    let mut tasks = Tasks {
        running: JoinSet::new(),
        tables: HashMap::new(),
        waiting: Vec::new(),
        resting: HashMap::new(),
        sizes: HashMap::new(),
        tending: Tending::default(),
    };
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

/// Tells of trouble that only an operator can end: the batch loop may go on without meeting it, while nothing holds the
/// queue.
async fn tell(sub: &Subscription, trouble: &Trouble) {
    match trouble {
        Trouble::Operator { .. } | Trouble::Table(_) => {
            sub.tell(Part::TableTasks, trouble).await;
        }
        // The batch loop meets it too.
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
    let mut requests = sub.requests.clone();
    let mut provider_told: Option<Instant> = None;
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
        if provider_told.is_none_or(|told| told.elapsed() >= BETWEEN_TELLS) {
            tell_provider(sub, &provider, subscriber).await?;
            provider_told = Some(Instant::now());
        }
        progress.show(sub, subscriber).await?;
        sub.goes_on(Part::TableTasks).await;
        sub.tables_beat.beat();
        let moved = async {
            sub.for_provider.notified().await;
            let rest = provider_told.map_or(Duration::ZERO, |told| told.elapsed());
            tokio::time::sleep(BETWEEN_TELLS.saturating_sub(rest)).await;
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
        if let Some(pace) = &mut pace {
            pace.hinted |= hinted;
        }
    }
}

/// Moves the consumer to what the subscriber has durably applied.
async fn tell_provider(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<(), Trouble> {
    let queue = &sub.settings.queue;
    let stored = position::find(&**subscriber, &sub.consumer)
        .await
        .map_err(Trouble::database("could not read positions and tables"))?;
    // None: not installed yet.
    let stands = stored.ok_or(Trouble::Stale)?.position.tick.id;
    if let Err(error) = consumer::advance(&**provider, queue, &sub.consumer, stands).await {
        let known = provider::consumer_position(&**provider, queue, &sub.consumer).await;
        return Err(match known {
            Ok(None) => Trouble::no_consumer(&sub.consumer, stands, error),
            Ok(Some(_)) | Err(_) => Trouble::queue(error),
        });
    }
    Ok(())
}

/// Reads the tables that are under way, and clears helpers away that none of them needs.
async fn read(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<Vec<TableRow>, Trouble> {
    let queue = &sub.settings.queue;
    let _nobody_parks_meanwhile = sub.helpers.lock().await;
    let helpers: Vec<String> = consumer::list(&**provider)
        .await
        .map_err(Trouble::queue)?
        .into_iter()
        .filter(|one| one.queue == *queue && helper::is_helper_of(&one.name, &sub.consumer))
        .map(|one| one.name)
        .collect();
    // Read after the list: a helper on the list is needed if any state since then says so.
    let rows = table_state::unfinished(&**subscriber, &sub.consumer, &table_state::UNFINISHED)
        .await
        .map_err(Trouble::sql("could not read the states of tables"))?;
    let needed: HashSet<String> = rows
        .iter()
        .filter_map(|row| helper::needed(row, &sub.consumer))
        .collect();
    for name in helpers {
        if !needed.contains(&name) {
            consumer::unregister(&**provider, queue, &name)
                .await
                .map_err(Trouble::queue)?;
            debug!(consumer = %name, "helper consumer cleared away");
        }
    }
    Ok(rows)
}

impl Tasks {
    /// Reads the tables that are under way, and begins with what they have to do; copies are
    /// listed for [`Tasks::start_copies`]. How many tables that are.
    async fn look(
        &mut self,
        sub: &Arc<Subscription>,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<usize, Trouble> {
        let rows = read(sub, provider, subscriber).await?;
        self.end_removed(sub, subscriber, &rows).await?;
        self.measure(sub, provider, subscriber, &rows).await?;
        self.plan(sub, &rows);
        self.tending.turn(sub, provider, subscriber).await?;
        Ok(rows.len())
    }

    /// Ends the tasks of tables that were removed from the job: their locks on the provider
    /// would keep capture from being taken away.
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
            // In sync already, and its statistics are being made, or gone.
            let row = table_state::find(&**subscriber, &sub.consumer, &task.table)
                .await
                .map_err(Trouble::sql("could not read a table's state"))?;
            if row.is_none_or(|row| row.provider_oid != task.oid) {
                task.handle.abort();
            }
        }
        Ok(())
    }

    /// Asks how large the tables are whose copy has not begun, each once.
    async fn measure(
        &mut self,
        sub: &Subscription,
        provider: &Session,
        subscriber: &Session,
        rows: &[TableRow],
    ) -> Result<(), Trouble> {
        let wanted: HashMap<u32, &TableRow> = rows
            .iter()
            .filter(|row| row.stand == Stand::Waiting)
            .map(|row| (row.provider_oid, row))
            .collect();
        self.sizes.retain(|oid, _| wanted.contains_key(oid));
        let new: Vec<u32> = wanted
            .keys()
            .filter(|oid| !self.sizes.contains_key(oid))
            .copied()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let read = Trouble::database("could not read the sizes of tables on the provider");
        let sizes = provider::table_sizes(&**provider, &new)
            .await
            .map_err(read)?;
        for size in sizes {
            self.sizes.insert(size.table_oid, size.bytes);
            let Some(row) = wanted.get(&size.table_oid) else {
                continue;
            };
            table_state::show_progress(
                &**subscriber,
                &sub.consumer,
                &row.table,
                0,
                0,
                Some(size.rows_estimated),
            )
            .await
            .map_err(Trouble::database("could not write a table's size"))?;
        }
        // What does not exist has no size, and is not asked about again.
        for oid in new {
            self.sizes.entry(oid).or_insert(0);
        }
        Ok(())
    }

    /// Starts tasks for tables whose rows are in, and lists those whose copy can begin. What is
    /// copied already comes first: it holds the queue.
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
                Duty::Copy => self.waiting.push(Waiting {
                    bytes: self.sizes.get(&oid).copied().unwrap_or_default(),
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
        let length = self
            .resting
            .get(&oid)
            .map_or(FIRST_REST, |rest| rest.length * 2)
            .min(sub.settings.retry_delay);
        warn!(table_oid = oid, error = %trouble, seconds = length.as_secs(), "a table's task waits");
        self.resting.insert(
            oid,
            Rest {
                until: Instant::now() + length,
                length,
            },
        );
    }
}
