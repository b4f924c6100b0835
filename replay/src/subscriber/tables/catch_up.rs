//! A table with a copy applies its own events, in ever smaller steps, until it is level with
//! the queue; then it asks the batch loop to take it over.

use std::time::Duration;

use sql::{
    connect::Purpose,
    queue::{
        consumer,
        lineage::NodePath,
        tick::{Epoch, Tick, TickId},
    },
    script::Script,
    subscriber::{
        position::{self, Position},
        repair_key,
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
    archive::{hold::is_gone, store::Store},
    batch::BatchPart,
    copy::keys,
    files::{
        batches::{FileBatch, Files, Next, UpTo},
        unreadable,
    },
    subscriber::{above, hold::is_detached, scripts::elsewhere, shared::Subscription},
    table::helper,
    trouble::Trouble,
};

/// An archive that is read: its name, its files, and whether it was not read before.
type OfFiles<'a> = (&'a str, Files, bool);

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
        .await?
        .altering(sub.replicates_columns);
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
            let found = match self.own.find(self.place()?, max_events).await {
                Err(trouble @ Trouble::Table(_)) => {
                    // From here on the next task goes on, which knows the shapes that the files have brought.
                    return match self.read_files().await? {
                        true => Ok(()),
                        false => Err(trouble),
                    };
                }
                found => found?,
            };
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

    /// Applies what an archive has after the table's place, where the queue has given that away, until the queue can
    /// hold what follows for the table again. False: it is not that, or no archive has what follows.
    async fn read_files(&mut self) -> Result<bool, Trouble> {
        let place = self.place()?;
        let is_behind_copy = place
            .copied
            .as_ref()
            .is_none_or(|copied| copied.shown_by.id <= place.tick.id);
        // What is applied once more, and what a copy has already, only the queue can say.
        let may_be_fed = place.overlap.is_none() && is_behind_copy;
        if !self.sub.settings.has_archives()
            || !may_be_fed
            || !self.own.is_given_away(place).await?
        {
            return Ok(false);
        }
        let table = &self.row.table;
        let mut read: Option<(&str, Files)> = None;
        let mut up_to_script: Option<(TickId, Trouble)> = None;
        while !self.sub.stop.is_cancelled() {
            let tick = self.place()?.tick;
            if let Some((_, trouble)) = up_to_script.take_if(|(before, _)| tick.id >= *before) {
                return Err(trouble);
            }
            if self.is_held_at(tick.id).await? {
                info!(%table, tick = tick.id.0, "table reads from queue again");
                return Ok(true);
            }
            let up_to = match &up_to_script {
                Some((before, _)) => UpTo::Tick(self.epoch, *before),
                None => UpTo::End,
            };
            let found = self.next_of_files(read.take(), tick, up_to)?;
            let Some((source, batch)) = found else {
                return match up_to_script {
                    Some((_, trouble)) => Err(trouble),
                    None => Ok(false),
                };
            };
            let (name, mut files, is_new) = source;
            self.take_in(&batch.lineage.path).await?;
            let deed = Deed::CatchUp(batch.to.tick, batch.lineage.origins.clone());
            let step = table_state::step(&self.stand, deed)?;
            let mut tx = self.applier.begin().await?;
            let written = self.own.write_files(&mut tx, &mut files, &batch).await;
            if let Err(trouble) = written {
                tx.rollback().await?;
                let before = self.own.take_tick_before_script();
                match (self.own.take_unknown(), before) {
                    (Some(script), _) => self.until_known(&script, batch.to.tick.id).await?,
                    // The table is to stand where the script finds it.
                    (None, Some(before)) if tick.id < before && before < batch.to.tick.id => {
                        up_to_script = Some((before, trouble));
                    }
                    (None, Some(_) | None) => return Err(trouble),
                }
                continue;
            }
            tx.commit_step(table, &step).await?;
            self.stand = step.to().clone();
            if is_new {
                info!(%table, source = name, tick = tick.id.0, "table reads from archive");
            }
            read = Some((name, files));
        }
        Ok(true)
    }

    /// The next batch of the archive that is read, else of the first one that has what follows a tick; none: no archive
    /// has.
    fn next_of_files<'s>(
        &self,
        read: Option<(&'s str, Files)>,
        tick: Tick,
        up_to: UpTo,
    ) -> Result<Option<(OfFiles<'s>, FileBatch)>, Trouble>
    where
        'a: 's,
    {
        let (settings, epoch) = (&self.sub.settings, self.epoch);
        let max_events = settings.max_batch_events;
        if let Some((name, mut files)) = read
            && let Next::Batch(batch) = files.next(max_events, up_to)?
        {
            return Ok(Some(((name, files, false), batch)));
        }
        for source in &*settings.archives {
            let store = Store::open(&source.address)
                .and_then(|store| store.opened_by(source.identity.as_deref()))
                .map_err(unreadable::unreadable)?;
            let opened = Files::open(store, &settings.queue, Position { epoch, tick })?;
            let Ok(mut files) = opened else { continue };
            if let Next::Batch(batch) = files.next(max_events, up_to)? {
                return Ok(Some(((source.name.as_str(), files, true), batch)));
            }
        }
        Ok(None)
    }

    /// Has the queue hold what follows a tick for the table; false: it has given some of that away.
    async fn is_held_at(&self, tick: TickId) -> Result<bool, Trouble> {
        let holds = helper::holding(self.place()?, &self.sub.consumer, self.row.provider_oid);
        let (provider, queue) = (&**self.own.session(), &self.sub.settings.queue);
        match consumer::register_at(provider, queue, &holds, tick).await {
            Ok(_) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(Trouble::queue(error)),
        }
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
        let told = consumer::advance(
            &**self.own.session(),
            &self.sub.settings.queue,
            &holds,
            place.tick.id,
        )
        .await;
        if let Err(error) = &told
            && is_detached(error)
            && self.sub.settings.has_archives()
        {
            // What the queue gives away from here on, an archive has.
            return self.is_held_at(place.tick.id).await.map(|_| ());
        }
        told.map_err(|error| match error.code() {
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
