//! The provider's side of a table's copy: the queue is held, the table is locked, and only then the snapshot is taken
//! that all parts of the copy share. The source lives until the last part is read.

use std::{collections::HashMap, sync::Arc};

use futures::future::try_join_all;
use sql::{
    columns,
    connect::{Purpose, Session},
    event::{mapping::Filter, shape::Shape},
    provider::{
        self, BatchFinder,
        copy::{self, Relation},
        filter, foreign_code,
    },
    queue::{
        consumer,
        tick::{self, SnapshotText, Tick},
    },
    subscriber::table_state::{Copied, TableRow},
};

use super::select::Select;
use crate::{
    queue::batches,
    subscriber::{above, scripts::elsewhere, shared::Subscription},
    table::helper,
    trouble::Trouble,
};

/// How often a table may be renamed between the look-up of its name and its lock.
const RENAMES: u32 = 10;

/// A table that is open for copying.
pub(super) struct Source {
    /// The session that exported the snapshot; without it no further part can be read.
    pub(super) session: Arc<Session>,
    /// The helper consumer's tick: events that the copy does not show come after it.
    pub(super) tick: Tick,
    /// The present shape of the table's rows.
    pub(super) shape: Arc<Shape>,
    snapshot: SnapshotText,
    /// The snapshot's name for other sessions.
    pub(super) exported: String,
    /// The relations that are read: the table, or its leaf partitions.
    pub(super) relations: Vec<Relation>,
    /// Bytes of a page.
    pub(super) page_bytes: i64,
    /// Whether the server finds a range of pages without reading the rest.
    pub(super) reads_ranges: bool,
    /// The table's filter, as the provider understands it at present.
    pub(super) filter: Option<Filter>,
    /// The type of each column, by its name.
    pub(super) types: HashMap<String, u32>,
}

impl Source {
    /// Opens a table. Waits for its lock as long as it takes: no session queues behind a lock that only reads.
    pub(super) async fn open(
        sub: &Subscription,
        row: &TableRow,
        subscriber: &Session,
    ) -> Result<Source, Trouble> {
        let session = begin(sub, row, subscriber).await?;
        let tick = hold_queue(sub, row, &session).await?;
        let filter = filter_now(&session, row).await?;
        lock(&session, row).await?;
        let exported = copy::export_snapshot(&*session).await?;
        if let Some(script) = elsewhere::shown_by_copy(sub, (&session, subscriber), row).await? {
            return Err(Trouble::unfollowable(
                &row.table,
                format!("a copy would show what script {script} does, which is not over here"),
                "see to the script: replay execute --list; the table is copied by itself then, or at once: \
                 replay resume TABLE",
            ));
        }
        let shape = shown_shape(sub, row, &session, subscriber).await?;
        let read = || {
            let doing = "could not read its definition on the provider";
            Trouble::sql_at_table(&row.table, doing)
        };
        Ok(Source {
            tick,
            filter,
            shape,
            snapshot: exported.snapshot,
            exported: exported.name,
            reads_ranges: exported.reads_ranges,
            page_bytes: exported.page_bytes,
            relations: copy::relations(&*session, row.provider_oid)
                .await
                .map_err(read())?,
            types: columns::types(&*session, row.provider_oid)
                .await
                .map_err(read())?,
            session: Arc::new(session),
        })
    }

    /// How many rows the copy will bring, as the provider's planner expects: the planner knows of filters, and of the
    /// size of a table without statistics. For showing only.
    pub(super) async fn rows_expected(&self, selects: &[Select]) -> Result<i64, sql::Error> {
        let planned = selects
            .iter()
            .map(|select| provider::rows_planned(&self.session, select.all()));
        Ok(try_join_all(planned).await?.iter().sum())
    }

    /// Ends the snapshot and waits for a tick that shows all that the snapshot shows.
    ///
    /// The session is that of the snapshot, so the tick belongs to the server that was copied. A standby that takes
    /// over without that tick does not have all rows that were copied. A task that goes on from here finds the tick, or
    /// knows that it is missing.
    pub(super) async fn close(self, sub: &Subscription) -> Result<Copied, Trouble> {
        self.session
            .batch_execute("commit")
            .await
            .map_err(Trouble::database("could not end the copy's snapshot"))?;
        let shown_by = shown_by(sub, &self.session, &self.snapshot).await?;
        Ok(Copied {
            snapshot: self.snapshot,
            shown_by,
        })
    }

    /// Whether other sessions can still read the snapshot.
    pub(super) async fn is_alive(&self) -> bool {
        self.session.simple_query("select 1").await.is_ok()
    }
}

/// Waits for a tick that shows all that a snapshot shows.
pub(super) async fn shown_by(
    sub: &Subscription,
    session: &Session,
    snapshot: &SnapshotText,
) -> Result<Tick, Trouble> {
    let queue = &sub.settings.queue;
    let finder = BatchFinder::prepare(&**session).await?;
    let mut ticks = sub.ticks.clone();
    let mut asked = false;
    loop {
        ticks.mark();
        let first = provider::tick_containing(&**session, queue, snapshot).await?;
        if let Some(id) = first
            && let Some(shown_by) = finder.tick(&**session, queue, id).await?
        {
            return Ok(shown_by);
        }
        if !std::mem::replace(&mut asked, true) {
            // A quiet queue gets its next tick only after its idle period.
            let forced = tick::force(&**session, queue).await;
            forced.map_err(Trouble::queue)?;
        }
        ticks.wait().await;
    }
}

/// Begins the reading transaction with the table's lock. No snapshot is taken before the lock is held, because
/// snapshots do not show TRUNCATE and a rewriting ALTER. The table may have another name by now, and another table its
/// name.
///
/// To plan a query the server computes the constants in the table's indexes, statistics and checks, with the rights of
/// the role that asks. A superuser therefore takes a lock that keeps such code from being added during the copy
/// (writers do not notice the lock), and refuses a table that has such code. After an error no transaction is open.
pub(crate) async fn lock(session: &Session, row: &TableRow) -> Result<(), Trouble> {
    let locked = try_lock(session, row).await;
    if locked.is_err() {
        // An error of its own says that the session is lost, and the transaction with it.
        let _ = session.batch_execute("rollback").await;
    }
    locked
}

async fn try_lock(session: &Session, row: &TableRow) -> Result<(), Trouble> {
    let cannot = || Trouble::at_table(&row.table, "could not lock it on the provider");
    let guarded = foreign_code::may_run(&**session, row.provider_oid)
        .await
        .map_err(Trouble::of_table(&row.table))?;
    let mode = if guarded {
        "share update exclusive"
    } else {
        "access share"
    };
    for _ in 0..RENAMES {
        let Some(name) = provider::table_name(&**session, row.provider_oid)
            .await
            .map_err(Trouble::of_table(&row.table))?
        else {
            return Err(Trouble::unfollowable(
                &row.table,
                "it was dropped on the provider".into(),
                "remove the table from the job; if it was made again, add it again",
            ));
        };
        session
            .batch_execute(&format!(
                "begin isolation level repeatable read read only; lock table {} in {mode} mode; \
                 set local row_security = off",
                name.quoted()
            ))
            .await
            .map_err(cannot())?;
        if provider::table_name(&**session, row.provider_oid)
            .await
            .map_err(Trouble::of_table(&row.table))?
            == Some(name)
        {
            return match guarded {
                true => refuse_code(session, row).await,
                false => Ok(()),
            };
        }
        session.batch_execute("rollback").await.map_err(cannot())?;
    }
    Err(Trouble::passing(
        format!("table {}: could not lock it on the provider", row.table),
        anyhow::anyhow!("it was renamed again and again"),
    ))
}

/// Refuses a table whose owner's functions would run as a superuser.
async fn refuse_code(session: &Session, row: &TableRow) -> Result<(), Trouble> {
    let code = foreign_code::functions(&**session, row.provider_oid)
        .await
        .map_err(Trouble::of_table(&row.table))?;
    match code {
        None => Ok(()),
        Some(code) => Err(Trouble::table(
            &row.table,
            "it is not read on the provider",
            format!(
                "{code} in its indexes, checks, statistics or partition keys would run as a superuser, \
                and belongs to another role"
            ),
            "let replay log in on the provider as a role that is no superuser (etc/roles/provider.sql), \
            or give the functions to \
             a superuser",
        )),
    }
}

/// Registers the table's helper consumer at the provider's newest tick, and gives that tick. A helper that an earlier
/// try left is made anew, because it stands further back than needed.
async fn hold_queue(
    sub: &Subscription,
    row: &TableRow,
    session: &Session,
) -> Result<Tick, Trouble> {
    let queue = &sub.settings.queue;
    let name = helper::copy(&sub.consumer, row.provider_oid);
    consumer::unregister(&**session, queue, &name)
        .await
        .map_err(Trouble::queue)?;
    consumer::register(&**session, queue, &name)
        .await
        .map_err(Trouble::queue)?;
    let position = provider::consumer_position(&**session, queue, &name).await?;
    position.map(|at| at.tick).ok_or(Trouble::Stale)
}

/// A session to the provider for reading a table, which has joined the nodes above the subscriber.
pub(super) async fn begin(
    sub: &Subscription,
    row: &TableRow,
    subscriber: &Session,
) -> Result<Session, Trouble> {
    let session = sub.provider_session(Purpose::CopyOut).await?;
    let joined = above::join(sub, &session, subscriber).await;
    joined.map_err(|trouble| trouble.at(&row.table))?;
    Ok(session)
}

/// A table's filter, as the provider understands it now; none: all rows are wanted.
pub(crate) async fn filter_now(
    session: &Session,
    row: &TableRow,
) -> Result<Option<Filter>, Trouble> {
    let Some(filter) = &row.mapping.filter else {
        return Ok(None);
    };
    let again = filter::check_again(&**session, row.provider_oid, filter).await;
    again.map(Some).map_err(Trouble::sql_at_table(
        &row.table,
        "its filter does not fit it any more on the provider",
    ))
}

/// The shape of the rows that the open snapshot shows. The nodes whose rows these are may be others than a moment ago:
/// they are asked for in the snapshot, and taken in.
pub(super) async fn shown_shape(
    sub: &Subscription,
    row: &TableRow,
    session: &Session,
    subscriber: &Session,
) -> Result<Arc<Shape>, Trouble> {
    let queue = &sub.settings.queue;
    let path = provider::path_of_rows(&**session, queue).await?;
    let taken = above::take_in(sub, subscriber, &path).await;
    taken.map_err(|trouble| trouble.at(&row.table))?;
    newest_shape(session, queue, row).await
}

/// The newest shape of a table, which its mapping can go on with.
pub(crate) async fn newest_shape(
    session: &Session,
    queue: &str,
    row: &TableRow,
) -> Result<Arc<Shape>, Trouble> {
    let decoder = batches::decoder(session, queue, Some(row.provider_oid)).await?;
    let shape = decoder.newest(row.provider_oid).ok_or_else(|| {
        Trouble::unfollowable(
            &row.table,
            "the provider does not capture it".into(),
            "remove the table from the job and add it again",
        )
    })?;
    crate::table::shape_can_go_on(shape, &row.mapping)
        .map_err(|misfit| Trouble::unfollowable(&row.table, misfit.why, misfit.advice))?;
    Ok(Arc::clone(shape))
}
