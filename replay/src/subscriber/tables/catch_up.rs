//! A table with a copy applies its own events, in ever smaller steps, until it is level with
//! the queue; then it asks the batch loop to take it over.

use std::time::Duration;

use sql::{
    connect::Purpose,
    queue::{
        lineage::NodePath,
        tick::{Epoch, TickId},
    },
    script::Script,
    subscriber::{
        position, repair_key,
        table_state::{self, Deed, Existing, Place, Stand, TableRow},
    },
};
use tokio_postgres::error::SqlState;
use tracing::info;

use super::{
    mend::{Rest, Seen},
    own_events::OwnEvents,
    parking,
};
use crate::{
    apply::Applier,
    batch::BatchPart,
    copy::keys,
    subscriber::{above, scripts::elsewhere, shared::Subscription},
    table::helper,
    trouble::Trouble,
};

/// How often it is looked for a script that the batch loop is to come to.
const LOOK: Duration = Duration::from_millis(200);

/// Applies the table's events from its place on until it is level with the queue. A table that cannot go on is parked
/// at its place.
pub(crate) async fn run(sub: &Subscription, row: &TableRow) -> Result<(), Trouble> {
    let mut task = CatchUp::open(sub, row).await?;
    match task.until_level().await {
        Ok(()) => Ok(()),
        // The table was removed from the job, or another task has taken it: there is nothing to do here.
        Err(Trouble::Stale) => Ok(()),
        Err(trouble @ Trouble::Table(_)) => task.park(&trouble).await,
        Err(other) => Err(other),
    }
}

struct CatchUp<'a> {
    sub: &'a Subscription,
    /// The table's row as it was read.
    row: &'a TableRow,
    /// The table's present state.
    stand: Stand,
    applier: Applier,
    own: OwnEvents<'a>,
    /// The log that the table's place is in.
    epoch: Epoch,
    /// The nodes that the last batch came from, which are stored.
    above: NodePath,
}

impl<'a> CatchUp<'a> {
    async fn open(sub: &'a Subscription, row: &'a TableRow) -> Result<CatchUp<'a>, Trouble> {
        let (provider, subscriber) = futures::try_join!(
            sub.provider_session(Purpose::CatchUp),
            sub.subscriber_session(Purpose::CatchUp)
        )?;
        let mut applier = Applier::new(
            subscriber,
            &sub.consumer,
            sub.settings.on_conflict,
            sub.settings.session_role,
        )
        .await?;
        applier.choose([row]);
        applier.map_tables([row]);
        let stored = position::find(&**applier.session(), &sub.consumer)
            .await?
            .ok_or(Trouble::Stale)?;
        let own = OwnEvents::open(
            provider,
            sub.filter_session(row).await?,
            &sub.settings.queue,
            stored.position.epoch,
            row,
            sub.settings.chunk_bytes,
        )
        .await?;
        Ok(CatchUp {
            sub,
            row,
            stand: row.stand.clone(),
            applier,
            own,
            epoch: stored.position.epoch,
            above: NodePath::default(),
        })
    }

    fn place(&self) -> Result<&Place, Trouble> {
        self.stand.place().ok_or(Trouble::Stale)
    }

    async fn until_level(&mut self) -> Result<(), Trouble> {
        if self.row.existing == Existing::Keys {
            self.mend().await?;
        }
        let mut ticks = self.sub.ticks.clone();
        loop {
            if self.sub.stop.is_cancelled() {
                return Ok(());
            }
            ticks.mark();
            let max_events = self.sub.settings.max_batch_events;
            let found = self.own.find(self.place()?, max_events).await?;
            if let Some(batch) = found.batch {
                self.take_in(&batch.lineage.path).await?;
                let step = table_state::step(
                    &self.stand,
                    Deed::CatchUp(batch.to, batch.lineage.origins.clone()),
                )?;
                let mut tx = self.applier.begin().await?;
                if let Err(trouble) = self.own.write(&mut tx, &batch).await {
                    tx.rollback().await?;
                    match self.own.take_unknown() {
                        Some(script) => self.until_known(&script, batch.to.id).await?,
                        None => self.up_to_script(trouble).await?,
                    }
                    continue;
                }
                tx.commit_step(&self.row.table, &step).await?;
                self.stand = step.to().clone();
                self.tell_provider().await?;
            }
            // Only after a tick that shows all of the copy is it certain that an event is not in the copy.
            let place = self.place()?;
            let shows_the_copy = place
                .copied
                .as_ref()
                .is_none_or(|copied| copied.shown_by.id <= place.tick.id);
            if place.tick.id < found.last_tick {
                continue;
            }
            if shows_the_copy {
                break;
            }
            tokio::select! {
                () = ticks.wait() => {}
                () = self.sub.stop.cancelled() => {}
            }
        }
        let step = table_state::step(&self.stand, Deed::AskForTakeOver)?;
        let tx = self.applier.begin().await?;
        tx.commit_step(&self.row.table, &step).await?;
        self.stand = step.to().clone();
        info!(table = %self.row.table, tick = self.place()?.tick.id.0, "table caught up");
        self.sub.wants_over(&self.row.table);
        Ok(())
    }

    /// Waits until the batch loop has come to a script that the table's events have, which are known up to a tick.
    async fn until_known(&self, script: &Script, to: TickId) -> Result<(), Trouble> {
        let (sub, session) = (self.sub, self.applier.session());
        let stands = (self.epoch, to);
        while !elsewhere::is_known_by_now(sub, session, stands, script).await? {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sub.stop.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    /// After a trouble: takes what is before the script that the trouble is about, so that the table stands where the
    /// script finds it. Whatever else the trouble is about, it is given back.
    async fn up_to_script(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        let place = self.place()?.clone();
        let before = self.own.take_tick_before_script();
        let Some(before) = before.filter(|before| place.tick.id < *before) else {
            return Err(trouble);
        };
        let Some(batch) = self.own.find_up_to(&place, before).await? else {
            return Err(trouble);
        };
        let step = table_state::step(
            &self.stand,
            Deed::CatchUp(batch.to, batch.lineage.origins.clone()),
        )?;
        let mut tx = self.applier.begin().await?;
        self.own.write(&mut tx, &batch).await?;
        tx.commit_step(&self.row.table, &step).await?;
        self.stand = step.to().clone();
        self.tell_provider().await
    }

    /// Brings a table into step of which the rows of some keys are not the provider's (see `mend`).
    async fn mend(&mut self) -> Result<(), Trouble> {
        let (sub, row, mut place) = (self.sub, self.row, self.place()?.clone());
        let session = self.applier.session();
        let wanted = repair_key::list(&**session, &sub.consumer, &row.table).await?;
        let fetched = keys::fetch(sub, row, session, &wanted, place.tick.id).await?;
        let mut batches = Vec::new();
        for upto in [fetched.before, fetched.after.id] {
            if upto > place.tick.id
                && let Some(batch) = self.own.find_up_to(&place, upto).await?
            {
                place.tick = batch.to;
                place.origins.clone_from(&batch.lineage.origins);
                batches.push((batch, upto > fetched.before));
            }
        }
        if place.tick.id < fetched.after.id {
            return Err(Trouble::Stale);
        }
        for (batch, _) in &batches {
            self.take_in(&batch.lineage.path).await?;
        }
        let step = table_state::step(&self.stand, Deed::Mend(place.tick, place.origins.clone()))?;
        let (mut rest, gone) = Rest::of(&fetched);
        let mut tx = self.applier.begin().await?;
        self.own.write_set(&mut tx, gone, place.tick.id).await?;
        for (batch, is_later) in &batches {
            let see = |part: &BatchPart| match rest.see(part) {
                Seen::Emptied if *is_later => {
                    let why = anyhow::anyhow!("a partition was emptied meanwhile");
                    Err(Trouble::passing("could not fetch rows by their keys", why))
                }
                Seen::Emptied | Seen::Rows => Ok(()),
            };
            self.own.write_seen(&mut tx, batch, true, see).await?;
        }
        self.own
            .write_set(&mut tx, rest.into_set(), place.tick.id)
            .await?;
        tx.forget_keys(&row.table).await?;
        let rows = fetched.keys.len();
        tx.commit_step(&row.table, &step).await?;
        self.stand = step.to().clone();
        info!(table = %row.table, keys = rows, tick = place.tick.id.0, "table repaired by keys");
        self.tell_provider().await
    }

    /// Stores the nodes that a batch comes from, before its first row is written.
    async fn take_in(&mut self, path: &NodePath) -> Result<(), Trouble> {
        if self.above != *path {
            above::take_in(self.sub, self.applier.session(), path)
                .await
                .map_err(|trouble| trouble.at(&self.row.table))?;
            self.above = path.clone();
        }
        Ok(())
    }

    /// Tells the queue that the applied events need not be held any more.
    async fn tell_provider(&self) -> Result<(), Trouble> {
        let place = self.place()?;
        let holds = helper::holding(place, &self.sub.consumer, self.row.provider_oid);
        sql::queue::consumer::advance(
            &**self.own.session(),
            &self.sub.settings.queue,
            &holds,
            place.tick.id,
        )
        .await
        .map_err(|error| match error.code() {
            // The helper held too much and was detached: events that the table still needs may be dropped at any time.
            Some(state) if *state == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
                Trouble::unfollowable(
                    &self.row.table,
                    admin::exit::one_line(&error),
                    "the table needs a resync: replay resync TABLE",
                )
            }
            Some(_) | None => Trouble::queue(error),
        })?;
        Ok(())
    }

    async fn park(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        // The session is dropped with this task, so a failed rollback does no harm.
        let _ = self.applier.rollback().await;
        parking::park(self.sub, self.row, &self.stand, trouble)
            .await
            .map(|_| ())
    }
}
