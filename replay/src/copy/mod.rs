//! The initial copy of one table, and its way to the batch loop:
//!
//! 1. A helper consumer holds the queue.
//! 2. The table is locked on the provider, and only then the snapshot is taken (`source`).
//! 3. The subscriber's table is emptied; its indexes are stored and taken away (`attempt`).
//! 4. The table's parts are copied, by several streams, each in a transaction (`plan`, `load`, `stream`).
//! 5. The table's state gets the helper's tick, the snapshot, and a tick that shows all that the snapshot shows.
//! 6. The indexes that were taken away are built (`restore`).
//! 7. The table's own events follow, without those that the snapshot shows (`catch_up`).
//!
//! A crash before step 5 leaves rows that the next try deletes; after it, the work goes on from step 6. The indexes
//! that were taken away come back in either case.

mod aside;
mod attempt;
mod columns;
mod files;
mod forget;
pub(crate) mod keys;
pub(crate) mod left_behind;
mod load;
pub(crate) mod names;
pub(crate) mod plan;
mod pooled;
mod progress;
pub(crate) mod restore;
pub(crate) mod select;
mod source;
mod stream;
mod table_lock;

pub(crate) use self::{
    forget::forget,
    source::{filter_now, lock, newest_shape},
};

use std::{sync::Arc, time::Duration};

use sql::{
    connect::{Purpose, Session},
    name::TableName,
    subscriber::{
        copy_attempt::Attempt,
        foreign_keys, relation,
        session_role::SessionRole,
        table_state::{self, Deed, Existing, Place, Stand, TableRow},
    },
};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use self::{
    attempt::Loaded,
    load::{Load, StagedPart},
    names::Names,
    plan::{CopyPart, Sizes},
    progress::Progress,
    select::Selection,
    source::Source,
    stream::Gauge,
};
use crate::{
    apply::{
        owner::Hold,
        table::{Acting, Target, free_names},
    },
    subscriber::{
        shared::Subscription,
        tables::{catch_up, parking},
    },
    table::{self, Duty},
    trouble::Trouble,
};

/// How long a table rests whose foreign keys need rows of a table that is not copied yet.
const WAITS_FOR_OTHERS: Duration = Duration::from_secs(1);

/// Copies a table and catches up with it. Errors of the table park it; other errors are returned, and the copy is tried
/// again. `slot` is released when the rows are loaded.
pub(crate) async fn run(
    sub: &Arc<Subscription>,
    table: &TableName,
    slot: OwnedSemaphorePermit,
) -> Result<(), Trouble> {
    let session = sub.subscriber_session(Purpose::CopyAdmin).await?;
    // While the table waited for its slot, it may have been removed, or added again as another table.
    let row = &match table_state::find(&*session, &sub.consumer, table).await? {
        Some(row) if table::duty(&row, sub.settings.parked_rest()) == Duty::Copy => row,
        Some(_) | None => return Ok(()),
    };
    if waits_for_others(sub, &session, row).await? {
        // Other tables may need the slot.
        drop((slot, session));
        tokio::select! {
            () = tokio::time::sleep(WAITS_FOR_OTHERS) => {}
            () = sub.stop.cancelled() => {}
        }
        return Ok(());
    }
    // The state is stored first of all, so that the helper consumer is not taken for a left-over.
    let begins = table_state::step(&row.stand, Deed::BeginCopy)?;
    if !table_state::take_step(&*session, &sub.consumer, &row.table, &begins).await? {
        return Ok(());
    }
    let begun = row.standing(begins.to());
    let mut copy = Copy {
        sub,
        row: &begun,
        session,
        begun: None,
    };
    let place = match copy.until_complete().await {
        Ok(place) => place,
        // The table was removed from the job, or another task has taken it: there is nothing to do here.
        Err(Trouble::Stale) => return Ok(()),
        Err(trouble @ Trouble::Table(_)) => return copy.park(&trouble).await,
        Err(other) => return Err(other),
    };
    drop(copy);
    drop(slot);
    sub.for_tables.notify_one();
    go_on(sub, &begun.standing(&Stand::Loaded(place))).await
}

/// Whether the table's foreign keys need rows of tables that are not copied yet.
async fn waits_for_others(
    sub: &Subscription,
    session: &Session,
    row: &TableRow,
) -> Result<bool, Trouble> {
    match sub.settings.session_role {
        SessionRole::Replica => return Ok(false),
        SessionRole::Origin => {}
    }
    let rows = table_state::unfinished(&**session, &sub.consumer, &table_state::UNFINISHED).await?;
    let provider = sub.provider_session(Purpose::CopyAdmin).await?;
    let names = Names::read(&provider, rows.iter().chain([row])).await?;
    let to_come: Vec<String> = rows.iter().map(|one| names.target(one).quoted()).collect();
    Ok(foreign_keys::needs_one_of(&**session, names.target(row), &to_come).await?)
}

/// Brings back the indexes that the copy took away, and catches up.
pub(crate) async fn go_on(sub: &Arc<Subscription>, row: &TableRow) -> Result<(), Trouble> {
    let _slot = sub.catch_ups.acquire().await.map_err(|_| Trouble::Stale)?;
    match restore::table(sub, &row.table).await {
        Ok(()) => {}
        Err(Trouble::Stale) => return Ok(()),
        Err(trouble @ Trouble::Table(_)) => {
            let parked = parking::park(sub, row, &row.stand, &trouble).await;
            return parked.map(|_| ());
        }
        Err(other) => return Err(other),
    }
    let Stand::Loaded(_) = row.stand else {
        return catch_up::run(sub, row).await;
    };
    let session = sub.subscriber_session(Purpose::CopyAdmin).await?;
    let built = table_state::step(&row.stand, Deed::Build)?;
    if !table_state::take_step(&*session, &sub.consumer, &row.table, &built).await? {
        return Ok(());
    }
    let built = row.standing(built.to());
    let (caught_up, ()) =
        futures::join!(catch_up::run(sub, &built), analyze(sub, &session, &built));
    caught_up
}

/// Makes statistics for the planner. Without them the table is right, and slow.
async fn analyze(sub: &Subscription, session: &Session, row: &TableRow) {
    let analyzed = async {
        let provider = sub.provider_session(Purpose::CopyAdmin).await?;
        let names = Names::read(&provider, [row]).await?;
        let target = names.target(row);
        let acting = Acting::find(&**session, &row.table, target).await?;
        acting
            .execute_here(session, &format!("analyze {}", target.quoted()))
            .await
            .map_err(Trouble::database("could not analyze it"))
    };
    if let Err(trouble) = analyzed.await.map(|_| ()) {
        warn!(table = %row.table, error = %trouble.chain(), "no statistics");
    }
}

/// A copy on its way to the state with a tick.
struct Copy<'a> {
    sub: &'a Arc<Subscription>,
    row: &'a TableRow,
    /// The session to the subscriber.
    session: Session,
    /// The try, once it has begun.
    begun: Option<attempt::Begun>,
}

impl Copy<'_> {
    async fn until_complete(&mut self) -> Result<Place, Trouble> {
        let (sub, row) = (self.sub, self.row);
        // Steps 1 and 2.
        let source = Source::open(sub, row, &self.session).await?;
        columns::make(sub, row, &source, &self.session).await?;
        let target = Target::find(
            &*self.session,
            &source.shape,
            &row.mapping,
            sub.settings.session_role,
        )
        .await?;
        target.acting.refuse_code(&self.row.table)?;
        target.acting.refuse_unlogged(&self.row.table)?;
        // Step 3.
        let sizes = Sizes {
            page_bytes: source.page_bytes,
            streams: sub.settings.parallel_copies,
            reads_ranges: source.reads_ranges,
        };
        let take_away = sizes.take_indexes_away(&source.relations);
        let begun = attempt::begin(sub, row, &target, &self.session, take_away).await?;
        self.begun = Some(begun);
        let begun = self.begun.as_ref().ok_or(Trouble::Stale)?;
        // Step 4.
        let parts = match row.existing {
            Existing::Trust => Vec::new(),
            Existing::Refuse
            | Existing::Truncate
            | Existing::Keep
            | Existing::Swap
            | Existing::Keys => sizes.parts(&source.relations),
        };
        let load = Arc::new(self.load(&source, &target, &begun.attempt, &parts).await?);
        let rows_estimated = source
            .rows_expected(&load.selects)
            .await
            .map_err(Trouble::sql_at_table(&row.table, "could not plan its copy"))?;
        let mut progress = Progress {
            session: &self.session,
            consumer: &sub.consumer,
            table: &row.table,
            rows_estimated,
            shown: None,
        };
        load::run(&load, &source, parts, &mut progress).await?;
        // Step 5.
        let (rows, bytes) = load.gauge.read();
        let binary = load.binary;
        drop(load);
        let tick = source.tick;
        let loaded = Loaded {
            tick,
            copied: source.close(sub).await?,
            rows,
            bytes,
        };
        attempt::complete(row, &target, &self.session, begun, &loaded).await?;
        info!(table = %row.table, rows, bytes, binary, "table copied");
        Ok(Place {
            copied: Some(loaded.copied),
            ..Place::after(tick)
        })
    }

    async fn load(
        &self,
        source: &Source,
        target: &Target,
        attempt: &Attempt,
        parts: &[CopyPart],
    ) -> Result<Load, Trouble> {
        let types = async {
            let oid = relation::oid(&*self.session, &target.name).await?;
            sql::columns::types(&*self.session, oid).await
        };
        let types = types.await.map_err(Trouble::sql_at_table(
            &self.row.table,
            "could not read its columns on the subscriber",
        ))?;
        let names = target.copied_names();
        let binary = !names.is_empty() && plan::may_be_binary(names, &source.types, &types);
        let wanted = Selection::of(target, source.filter.as_ref())?;
        let selects = source
            .relations
            .iter()
            .map(|one| wanted.from(&one.name))
            .collect();
        let into = aside::loaded_table(self.row, target, &attempt.consumer);
        let staging = TableName::new("pg_temp", "trunkline_part");
        let staged = (target.acting.role().is_some() && into == target.name).then(|| StagedPart {
            acting: target.acting.clone(),
            make: format!(
                "{}{}{}",
                free_names(&[&staging.name]),
                target.make_for_part(&staging.quoted()),
                target.acting.grant("select", &[&staging.quoted()])
            ),
            insert: target.insert_staged(&staging.quoted()),
        });
        let lock = if into == target.name {
            Hold::ToWrite.statement([&target.acting])
        } else {
            Some(format!(
                "lock table {} in row exclusive mode",
                into.quoted()
            ))
        };
        let copied_to = if staged.is_some() { &staging } else { &into };
        Ok(Load {
            sub: Arc::clone(self.sub),
            attempt: attempt.clone(),
            selects,
            copy_in: target.copy_in(copied_to),
            enter: (into == target.name && staged.is_none())
                .then(|| target.acting.enter())
                .flatten(),
            lock: lock.unwrap_or_default(),
            staged,
            binary,
            exported: source.exported.clone(),
            reads_itself: (parts.len() <= 1).then(|| Arc::clone(&source.session)),
            gauge: Gauge::default(),
        })
    }

    /// Parks a table whose copy failed, in its state before the copy: without a row of the copy, and with its indexes
    /// and constraints. If that fails too, the next try does it.
    async fn park(&self, trouble: &Trouble) -> Result<(), Trouble> {
        if let Some(begun) = &self.begun {
            let cleared = async {
                attempt::give_up(
                    self.sub.settings.session_role,
                    self.row,
                    &self.session,
                    begun,
                )
                .await?;
                restore::table(self.sub, &self.row.table).await
            };
            match cleared.await {
                Ok(()) => {}
                Err(Trouble::Stale) => return Ok(()),
                Err(error) => {
                    warn!(
                        table = %self.row.table,
                        error = %error.chain(),
                        "an unfinished copy is not cleared away yet"
                    );
                }
            }
        }
        let parked = parking::park(self.sub, self.row, &self.row.stand, trouble).await;
        parked.map(|_| ())
    }
}
