//! The initial copy of one table, and its way to the batch loop.
//!
//! 1 a helper consumer holds the queue · 2 the table is locked on the provider, and only then
//! the snapshot is taken, because TRUNCATE and a rewriting ALTER are not seen by snapshots ·
//! 3 COPY to COPY into one transaction on the subscriber, which ends with the state
//! `catching-up`, the helper's tick and the snapshot · 4 the table's own events follow from
//! there, without those that the snapshot shows.
//!
//! A crash before the commit of 3 leaves nothing, and the copy begins anew; after it, step 4
//! goes on from the stored tick.

mod borrowed;
pub(crate) mod catch_up;
mod progress;
mod stream;

use sql::{
    consumer, provider,
    shape::Shape,
    table_state::{self, Existing, State, Step, TableRow},
    tick::{SnapshotText, Tick},
};
use tokio_postgres::Client;
use tracing::info;

use self::{borrowed::Borrowed, progress::Progress, stream::Copied};
use crate::{
    apply::{REPLICA_SETTINGS, empty, target::Target},
    parking::{self, Parking},
    source::shapes,
    subscription::Subscription,
    table::{Place, helper},
    trouble::Trouble,
};
use std::sync::Arc;

/// Copies a table and catches up with it. Errors of the table park it; others come back and
/// are tried again.
pub(crate) async fn run(sub: &Subscription, row: &TableRow) -> Result<(), Trouble> {
    match copy(sub, row).await {
        Ok(Some(place)) => catch_up::run(sub, row, place).await,
        Ok(None) => Ok(()),
        Err(trouble @ Trouble::Table { .. }) => park(sub, row, &trouble).await,
        Err(other) => Err(other),
    }
}

/// The copy itself. None if the table was taken away meanwhile.
async fn copy(sub: &Subscription, row: &TableRow) -> Result<Option<Place>, Trouble> {
    let admin = sub.subscriber_session("copy-admin").await?;
    let begins = Step {
        from: row.state,
        from_tick: row.tick,
        to: State::InCopy,
        tick: None,
        copied_snapshot: None,
        trouble: None,
    };
    if !table_state::take_step(&*admin, &sub.consumer, &row.table, &begins)
        .await
        .map_err(Trouble::database("could not write a table's state"))?
    {
        return Ok(None);
    }
    let reading = Borrowed::from(&sub.copy_out, "provider").await?;
    let writing = Borrowed::from(&sub.copy_in, "subscriber").await?;
    let place = transfer(sub, row, &admin, reading.client()?, writing.client()?).await?;
    if place.is_some() {
        reading.give_back();
        writing.give_back();
    }
    Ok(place)
}

async fn transfer(
    sub: &Subscription,
    row: &TableRow,
    admin: &Client,
    reading: &Client,
    writing: &Client,
) -> Result<Option<Place>, Trouble> {
    // 1: from this tick on the queue keeps what the copy may not see.
    let tick = hold_queue(sub, row, reading).await?;
    // 2
    let (shape, snapshot) = open_table(sub, row, reading).await?;
    let target = Target::find(writing, &shape).await?;
    let estimate = rows_estimated(row, reading).await?;
    // 3
    let at_table = |doing: &'static str| Trouble::at_table(&row.table, doing);
    writing
        .batch_execute(&format!(
            "begin isolation level read committed; {}",
            REPLICA_SETTINGS
        ))
        .await
        .map_err(Trouble::database("could not begin a copy"))?;
    let copied = if row.existing == Existing::Trust {
        Copied::default()
    } else {
        make_room(row, &target, writing).await?;
        let progress = Progress::new(sub, row, estimate);
        stream::copy(&target, reading, writing, admin, progress).await?
    };
    let place = Place {
        tick,
        copied: Some(snapshot),
    };
    let copied_step = Step {
        from: State::InCopy,
        from_tick: None,
        to: State::CatchingUp,
        tick: Some(place.tick),
        copied_snapshot: place.copied.as_ref(),
        trouble: None,
    };
    let taken = table_state::take_step(writing, &sub.consumer, &row.table, &copied_step)
        .await
        .map_err(at_table("could not write its state"))?;
    if !taken {
        // It was removed from the job meanwhile.
        return Ok(None);
    }
    table_state::show_progress(
        writing,
        &sub.consumer,
        &row.table,
        copied.rows,
        copied.bytes,
        Some(copied.rows),
    )
    .await
    .map_err(at_table("could not write its progress"))?;
    writing
        .batch_execute("commit")
        .await
        .map_err(at_table("could not commit its copy"))?;
    reading
        .batch_execute("commit")
        .await
        .map_err(Trouble::database("could not end the copy's snapshot"))?;
    info!(table = %row.table, rows = copied.rows, bytes = copied.bytes, "table copied");
    writing
        .batch_execute(&format!("analyze {}", target.name.quoted()))
        .await
        .map_err(at_table("could not analyze it"))?;
    Ok(Some(place))
}

/// Registers the table's helper consumer at the provider's newest tick, and says which it is.
/// A helper that an earlier try left is made anew: it stands further back than needed.
async fn hold_queue(sub: &Subscription, row: &TableRow, reading: &Client) -> Result<Tick, Trouble> {
    let queue = &sub.settings.queue;
    let name = helper::copy(&sub.consumer, row.provider_oid);
    consumer::unregister(reading, queue, &name)
        .await
        .map_err(Trouble::queue)?;
    consumer::register(reading, queue, &name)
        .await
        .map_err(Trouble::queue)?;
    let position = provider::consumer_position(reading, queue, &name)
        .await
        .map_err(Trouble::database("could not register a helper consumer"))?;
    position.map(|at| at.tick).ok_or(Trouble::Stale)
}

/// Locks the table on the provider against TRUNCATE, ALTER and DROP, and then takes the
/// snapshot that the copy and its later events share.
async fn open_table(
    sub: &Subscription,
    row: &TableRow,
    reading: &Client,
) -> Result<(Arc<Shape>, SnapshotText), Trouble> {
    let at_table = |doing: &'static str| Trouble::at_table(&row.table, doing);
    reading
        .batch_execute(&format!(
            "begin isolation level repeatable read read only; \
             lock table {} in access share mode; \
             set local row_security = off",
            row.table.quoted()
        ))
        .await
        .map_err(at_table("could not lock it on the provider"))?;
    let snapshot = provider::current_snapshot(reading)
        .await
        .map_err(Trouble::database("could not take a snapshot"))?;
    let decoder = shapes::decoder(reading, &sub.settings.queue, Some(row.provider_oid)).await?;
    let shape = decoder.newest(row.provider_oid).ok_or_else(|| {
        Trouble::misfit(
            &row.table,
            "the provider does not capture it".into(),
            "remove the table from the job and add it again",
        )
    })?;
    crate::table::shape_can_go_on(shape)
        .map_err(|misfit| Trouble::misfit(&row.table, misfit.why, misfit.advice))?;
    Ok((Arc::clone(shape), snapshot))
}

async fn rows_estimated(row: &TableRow, reading: &Client) -> Result<i64, Trouble> {
    let estimate: f32 = reading
        .query_one(
            "select reltuples from pg_catalog.pg_class where oid = $1",
            &[&row.provider_oid],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Trouble::at_table(&row.table, "could not estimate its rows"))?;
    // -1 says that nobody has looked yet.
    #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
    Ok(estimate.max(0.0) as i64)
}

/// Treats rows that the subscriber's table already holds as `add` was told.
async fn make_room(row: &TableRow, target: &Target, writing: &Client) -> Result<(), Trouble> {
    let at_table = |doing: &'static str| Trouble::at_table(&row.table, doing);
    match row.existing {
        Existing::Refuse => {
            let holds: bool = writing
                .query_one(
                    &format!("select exists (select from {})", target.name.quoted()),
                    &[],
                )
                .await
                .and_then(|row| row.try_get(0))
                .map_err(at_table("could not read it on the subscriber"))?;
            if holds {
                return Err(Trouble::misfit(
                    &row.table,
                    "it holds rows on the subscriber".into(),
                    "empty the table, or remove it from the job and add it with --truncate or \
                     --expect-sync",
                ));
            }
            Ok(())
        }
        Existing::Truncate => empty::tables(writing, std::slice::from_ref(&target.name)).await,
        Existing::Trust => Ok(()),
    }
}

/// Parks a table whose copy failed. It holds no committed rows of the copy.
async fn park(sub: &Subscription, row: &TableRow, trouble: &Trouble) -> Result<(), Trouble> {
    let parking = Parking {
        table: &row.table,
        from: (State::InCopy, None),
        tick: None,
        copied: None,
        told: row.error.as_deref(),
    };
    parking::park(sub, parking, trouble).await.map(|_| ())
}
