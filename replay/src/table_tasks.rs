//! Looks after the tables that are not `ok` and after the provider's view of this subscriber:
//! starts each table's own task, tells the provider how far everything is applied, and clears
//! helper consumers away that nobody needs any more. Every turn reads the truth again; a turn
//! that fails is taken again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use sql::{
    connect::Session,
    consumer,
    position::{self, Stored},
    provider,
    table_state::{self, State, TableRow},
};
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::{debug, error, warn};

use crate::{
    copy::{self, tend::Tending},
    subscription::Subscription,
    table::{self, Duty, helper},
    trouble::Trouble,
};

/// How often to look while no hint comes.
const TURN: Duration = Duration::from_secs(1);

/// The provider is told a few times a second at most, so that its subscription row stays small
/// under a held snapshot.
const BETWEEN_TELLS: Duration = Duration::from_millis(250);

/// A table whose task failed for a passing reason rests this long, doubled each time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The tables' tasks of one subscriber.
struct Tasks {
    running: JoinSet<Result<(), Trouble>>,
    /// Which table each running task is for.
    tables: HashMap<Id, (u32, AbortHandle)>,
    resting: HashMap<u32, Rest>,
    /// How large the tables that wait for their copy are on the provider, in bytes.
    sizes: HashMap<u32, i64>,
    tending: Tending,
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
        resting: HashMap::new(),
        sizes: HashMap::new(),
        tending: Tending::default(),
    };
    let mut told = None;
    loop {
        let trouble = match turns(&sub, &subscriber, &mut tasks, &mut told).await {
            Ok(()) => return Ok(()),
            Err(trouble) => trouble,
        };
        if subscriber.is_closed() {
            return Err(trouble);
        }
        tell(&sub, &subscriber, &trouble, &mut told).await;
        tokio::select! {
            () = tokio::time::sleep(TURN) => {}
            () = sub.stop.cancelled() => return Ok(()),
        }
    }
}

/// Logs trouble that only an operator can end, once, and shows it in `status`: the batch loop
/// may go on without meeting it, while nothing holds the queue.
async fn tell(
    sub: &Subscription,
    subscriber: &Session,
    trouble: &Trouble,
    told: &mut Option<String>,
) {
    let text = trouble.chain();
    match trouble {
        Trouble::Operator { advice, .. } | Trouble::Table { advice, .. } => {
            if told.as_ref() != Some(&text) {
                error!(consumer = %sub.consumer, error = %text, %advice, "table tasks wait");
            }
            if let Err(error) =
                position::show_error(&**subscriber, &sub.consumer, Some(&text)).await
            {
                debug!(consumer = %sub.consumer, %error, "the error is not shown in status");
            }
            *told = Some(text);
        }
        // The batch loop meets it too.
        Trouble::Passing { .. } | Trouble::Stale => {
            debug!(consumer = %sub.consumer, error = %text, "table tasks wait");
        }
    }
}

async fn turns(
    sub: &Arc<Subscription>,
    subscriber: &Session,
    tasks: &mut Tasks,
    told: &mut Option<String>,
) -> Result<(), Trouble> {
    let provider = sub.provider_session("admin").await?;
    let mut requests = sub.requests.clone();
    let mut provider_told: Option<Instant> = None;
    loop {
        let Some((stored, rows)) = look(sub, subscriber).await? else {
            // Not installed yet.
            return Err(Trouble::Stale);
        };
        tasks.end_removed(&rows);
        tasks.measure(sub, &provider, subscriber, &rows).await?;
        tasks.start(sub, &rows);
        tasks.tending.turn(sub, subscriber, &rows).await?;
        if provider_told.is_none_or(|told| told.elapsed() >= BETWEEN_TELLS) {
            tell_provider(sub, &provider, subscriber, &stored).await?;
            provider_told = Some(Instant::now());
        }
        if told.take().is_some() {
            position::show_error(&**subscriber, &sub.consumer, None)
                .await
                .map_err(Trouble::database("could not clear the last error"))?;
        }
        let moved = async {
            sub.for_provider.notified().await;
            let rest = provider_told.map_or(Duration::ZERO, |told| told.elapsed());
            tokio::time::sleep(BETWEEN_TELLS.saturating_sub(rest)).await;
        };
        tokio::select! {
            () = sub.for_tables.notified() => {}
            () = requests.wait() => {}
            () = moved => {}
            () = tokio::time::sleep(TURN) => {}
            Some(ended) = tasks.running.join_next_with_id(), if !tasks.running.is_empty() => {
                tasks.ended(ended);
            }
            () = sub.stop.cancelled() => return Ok(()),
        }
    }
}

async fn look(
    sub: &Subscription,
    subscriber: &Session,
) -> Result<Option<(Stored, Vec<TableRow>)>, Trouble> {
    let read = Trouble::database("could not read positions and tables");
    let (stored, rows) = futures::try_join!(
        position::find(&**subscriber, &sub.consumer),
        table_state::list(&**subscriber, &sub.consumer),
    )
    .map_err(read)?;
    Ok(stored.map(|stored| (stored, rows)))
}

/// Moves the consumer to what the subscriber has durably applied, and clears helpers away.
async fn tell_provider(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
    stored: &Stored,
) -> Result<(), Trouble> {
    let queue = &sub.settings.queue;
    let stands = stored.position.tick.id;
    if let Err(error) = consumer::advance(&**provider, queue, &sub.consumer, stands).await {
        let known = provider::consumer_position(&**provider, queue, &sub.consumer).await;
        return Err(match known {
            Ok(None) => Trouble::no_consumer(&sub.consumer, stands, error),
            Ok(Some(_)) | Err(_) => Trouble::queue(error),
        });
    }
    let _nobody_parks_meanwhile = sub.helpers.lock().await;
    let helpers: Vec<String> = consumer::list(&**provider)
        .await
        .map_err(Trouble::queue)?
        .into_iter()
        .filter(|one| one.queue == *queue && helper::is_helper_of(&one.name, &sub.consumer))
        .map(|one| one.name)
        .collect();
    if helpers.is_empty() {
        return Ok(());
    }
    // Read after the list: a helper on the list is needed if any state since then says so.
    let Some((_, rows)) = look(sub, subscriber).await? else {
        return Ok(());
    };
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
    Ok(())
}

impl Tasks {
    /// Ends the tasks of tables that were removed from the job: their locks on the provider
    /// would keep capture from being taken away.
    fn end_removed(&self, rows: &[TableRow]) {
        for (oid, task) in self.tables.values() {
            if !rows.iter().any(|row| row.provider_oid == *oid) {
                task.abort();
            }
        }
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
            .filter(|row| row.state == State::Waiting)
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

    /// Starts tasks for the tables that have something to do, the largest first. Of those whose
    /// rows are copied, as many at once as the settings allow.
    fn start(&mut self, sub: &Arc<Subscription>, rows: &[TableRow]) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.ended(ended);
        }
        let now = Instant::now();
        let busy: HashSet<u32> = self.tables.values().map(|(oid, _)| *oid).collect();
        let mut waiting: Vec<(&TableRow, Duty)> = rows
            .iter()
            .filter(|row| !busy.contains(&row.provider_oid))
            .filter(|row| {
                self.resting
                    .get(&row.provider_oid)
                    .is_none_or(|rest| rest.until <= now)
            })
            .map(|row| (row, table::duty(row)))
            .filter(|(_, duty)| *duty != Duty::None)
            .collect();
        // What is copied already first: it holds the queue.
        waiting.sort_by_key(|(row, duty)| {
            let bytes = self.sizes.get(&row.provider_oid).copied();
            (*duty == Duty::Copy, -bytes.unwrap_or_default())
        });
        for (row, duty) in waiting {
            let (sub, row) = (Arc::clone(sub), row.clone());
            let oid = row.provider_oid;
            let task = match duty {
                Duty::Copy => {
                    let Ok(slot) = Arc::clone(&sub.tables).try_acquire_owned() else {
                        return;
                    };
                    self.running
                        .spawn(async move { copy::run(&sub, &row, slot).await })
                }
                Duty::CatchUp(place) => self
                    .running
                    .spawn(async move { copy::go_on(&sub, &row, place).await }),
                Duty::None => continue,
            };
            self.tables.insert(task.id(), (oid, task));
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), Trouble>), tokio::task::JoinError>) {
        let (id, trouble) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(trouble))) => (id, Some(trouble.log_line())),
            Err(broken) if broken.is_cancelled() => (broken.id(), None),
            Err(broken) => {
                error!(error = %broken, "a table's task broke off");
                (broken.id(), Some(broken.to_string()))
            }
        };
        let Some((oid, _)) = self.tables.remove(&id) else {
            return;
        };
        let Some(trouble) = trouble else {
            self.resting.remove(&oid);
            return;
        };
        let length = self
            .resting
            .get(&oid)
            .map_or(FIRST_REST, |rest| (rest.length * 2).min(LONGEST_REST));
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
