//! One batch from open to finished, for ever: the story of replay in one page.
//!
//! The only commit takes the position with it. The process may die between any two numbered steps. Then either the
//! batch is read and applied again from its beginning, because nothing of it was committed, or all of it is committed
//! and the position says so.

use std::{sync::Arc, time::Duration};

use sql::{
    connect::{Purpose, Session},
    provider,
    subscriber::{
        path,
        position::{self, Position},
        table_state::{Stand, TableRow},
    },
};
use tracing::info;

use super::{
    above,
    followed::Followed,
    hold,
    hop::{
        origins::Origins,
        relaying::{self, AppliedTicks},
    },
    in_sync::InSync,
    scripts::{self, Met},
    sequences::Sequences,
    shared::Subscription,
    stats::Stats,
    tables::{parking, take_over},
    told::TroubledPart,
};
use crate::{
    apply::Applier,
    batch::{self, Barrier, Delivery, End, Header},
    reading::shared::Reader,
    table,
    trouble::Trouble,
};

/// Time between two looks at tables, sequences and pause while no batch comes.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The loop of one subscriber, with its sessions open and its position read.
pub(crate) struct BatchLoop<'a> {
    pub(crate) sub: &'a Subscription,
    pub(crate) applier: Applier,
    /// The session for questions to the provider while the reader's session streams.
    pub(crate) provider: Arc<Session>,
    pub(crate) position: Position,
    pub(crate) in_sync: InSync,
    /// The operator has paused the job, or a failover holds it.
    rests: bool,
    /// Tables and pause must be read again before the next batch.
    look_due: bool,
    /// The last batch came from other nodes than the provider has named, or some nodes were left.
    above_due: bool,
    /// The reader; none while the job rests.
    reader: Option<Reader>,
    sequences: Sequences,
    origins: Origins,
    applied_ticks: AppliedTicks,
    stats: &'a mut Stats,
}

/// Runs until asked to stop, or until trouble; after trouble the caller opens everything anew.
pub(crate) async fn run(sub: &Subscription, stats: &mut Stats) -> Result<(), Trouble> {
    let mut this = BatchLoop::open(sub, stats).await?;
    let mut idle_look = tokio::time::interval(IDLE_LOOK);
    loop {
        sub.loop_beat.beat();
        this.at_border().await?;
        tokio::select! {
            delivery = next(&mut this.reader), if !this.rests => match delivery? {
                Delivery::Begin(header) => this.batch(header).await?,
                Delivery::LetGo => this.read_on(),
                Delivery::Part(_) => return Err(Trouble::Stale),
            },
            () = sub.for_loop.notified() => this.look_due = true,
            _ = idle_look.tick() => {
                this.look_due = true;
                this.in_sync.look_at_all();
                this.stats.tell_if_due();
                this.recover().await?;
                this.look_above().await?;
                this.hold_again().await?;
                this.note_source();
                this.applied_ticks.forget_if_due(this.sub).await?;
                this.sequences.carry(&this.provider, this.applier.session()).await?;
            }
            () = sub.stop.cancelled() => return Ok(()),
        }
    }
}

impl<'a> BatchLoop<'a> {
    async fn open(sub: &'a Subscription, stats: &'a mut Stats) -> Result<BatchLoop<'a>, Trouble> {
        let apply = sub.subscriber_session(Purpose::Apply).await?;
        let stored = hold::stored(sub, &apply).await?;
        let provider = Arc::new(sub.provider_session(Purpose::Admin).await?);
        hold::hold_queue(sub, &provider, stored.position).await?;
        position::tell_session_role(&*apply, &sub.consumer, sub.settings.session_role).await?;
        let named = above::join(sub, &provider, &apply).await?;
        path::shorten(&*apply, &sub.consumer, &named).await?;
        relaying::look(sub, &apply).await?;
        let mut origins = Origins::new();
        origins.at(stored.position, stored.origins.as_deref())?;
        let reader =
            (!stored.rests()).then(|| sub.readers.read_after(stored.position, &sub.tick_by_tick));
        let applier = Applier::new(
            apply,
            &sub.consumer,
            sub.settings.on_conflict,
            sub.settings.session_role,
        )
        .await?;
        let mut sequences = Sequences::new(&sub.settings.queue, &sub.consumer);
        sequences.carry(&provider, applier.session()).await?;
        applier.guard().await?;
        stats.nothing_under_way();
        info!(consumer = %sub.consumer, tick = stored.position.tick.id.0, "batch loop started");
        Ok(BatchLoop {
            in_sync: InSync::new(
                Followed::new(Some(Arc::clone(&provider))).altering(sub.replicates_columns),
                stored.tables_version,
            ),
            sequences,
            origins,
            applied_ticks: AppliedTicks::new(),
            position: stored.position,
            rests: stored.rests(),
            look_due: true,
            above_due: false,
            sub,
            applier,
            provider,
            reader,
            stats,
        })
    }

    /// Runs between two batches: reads pause and tables again, and takes over the tables that ask for it.
    async fn at_border(&mut self) -> Result<(), Trouble> {
        self.origins.store_if_due(self.sub, &self.provider).await?;
        if !std::mem::take(&mut self.look_due) {
            return Ok(());
        }
        let wanting = self.look().await?;
        let stands = (self.position, self.in_sync.version);
        if !self.rests && scripts::at_border(self.sub, &mut self.applier, stands).await? {
            return Err(Trouble::Stale);
        }
        let mut taken = false;
        for row in wanting {
            if let Some(place) = table::take_over(&row.stand, self.position.tick.id) {
                let stands = (self.position, self.in_sync.version);
                let run = take_over::run(self.sub, &mut self.applier, stands, &row, place);
                match run.await {
                    Ok(()) => {
                        self.table_is_ok(&row);
                        taken = true;
                    }
                    Err(trouble @ Trouble::Table(_)) => self.park(&row, trouble).await?,
                    Err(other) => return Err(other),
                }
            }
        }
        let session = self.applier.session();
        if taken && self.in_sync.is_everything(self.sub, session).await? {
            info!(consumer = %self.sub.consumer, tables = self.in_sync.tables.len(), "all tables in sync");
        }
        Ok(())
    }

    /// Notes and logs that a table is in sync.
    fn table_is_ok(&mut self, row: &TableRow) {
        info!(
            table = %row.table,
            rows = row.rows_copied,
            bytes = row.bytes_copied,
            seconds = row.seconds_since_start.unwrap_or_default(),
            "table in sync"
        );
        self.in_sync.tables.insert(row.standing(&Stand::Ok));
        self.origins.has_table();
        self.sub.for_tables.notify_one();
    }

    /// Reads position and pause, and the tables if they may have changed; gives the tables that want to be taken over.
    async fn look(&mut self) -> Result<Vec<TableRow>, Trouble> {
        let stored = hold::stored(self.sub, self.applier.session()).await?;
        if stored.position != self.position {
            return Err(Trouble::Stale);
        }
        if relaying::look(self.sub, self.applier.session()).await? && self.reader.is_some() {
            // A batch that was read before may be of several ticks.
            self.read_on();
        }
        if stored.rests() != self.rests {
            self.rests = stored.rests();
            let (paused, held) = (stored.paused, stored.is_held);
            info!(consumer = %self.sub.consumer, paused, held, "pause changed");
            // A batch half read would hold a snapshot and locks on the provider during the pause.
            self.reader = None;
            if !self.rests {
                self.read_on();
            }
        }
        if stored.is_held {
            // No table can be taken over.
            return Ok(Vec::new());
        }
        if stored.tables_version != self.in_sync.version {
            // A new sequence counts from here on: it must not be behind the rows that commit next.
            self.sequences
                .carry(&self.provider, self.applier.session())
                .await?;
        }
        if self.in_sync.is_outdated(stored.tables_version) {
            self.in_sync
                .read(self.sub, &mut self.applier, stored.tables_version)
                .await?;
        }
        self.in_sync.wanting(self.sub, self.applier.session()).await
    }

    /// Compares the nodes above again, if there are others than the provider: nodes may be left, or a circle be closed.
    async fn look_above(&mut self) -> Result<(), Trouble> {
        let (sub, known) = (self.sub, self.sub.named());
        if known.0.len() <= 1 && !self.above_due {
            return Ok(());
        }
        let named = provider::node_path(&**self.provider, &sub.settings.queue).await?;
        if named == known && !self.above_due {
            return Ok(());
        }
        // The session that applies is read-only between two batches.
        let session = sub.subscriber_session(Purpose::Admin).await?;
        let named = above::join(sub, &self.provider, &session).await?;
        path::shorten(&*session, &sub.consumer, &named).await?;
        self.above_due = !self.in_sync.is_everything(sub, &session).await?;
        Ok(())
    }

    /// Ends the reported trouble of this loop, when it has committed a batch, or when there is no batch to read: a
    /// connection alone proves nothing.
    async fn recover(&self) -> Result<(), Trouble> {
        if !self.sub.is_in_trouble(TroubledPart::BatchLoop) {
            return Ok(());
        }
        let (queue, stands) = (&self.sub.settings.queue, self.position.tick.id);
        let last = sql::queue::tick::last(&**self.provider, queue, stands).await;
        let last = last.map_err(Trouble::queue)?;
        if self.rests || last.is_some_and(|last| last.newest.id == stands) {
            self.sub.goes_on(TroubledPart::BatchLoop).await;
        }
        Ok(())
    }

    /// Notes where the reader reads; before it has found that out, what was noted before stays.
    fn note_source(&self) {
        let source = self.reader.as_ref().and_then(Reader::source);
        if let Some(source) = source {
            self.sub.set_source(source);
        }
    }

    /// Has the queue hold what follows the position, as soon as it has that: until then an archive has it.
    async fn hold_again(&self) -> Result<(), Trouble> {
        if self.sub.is_held() {
            return Ok(());
        }
        hold::hold_queue(self.sub, &self.provider, self.position).await
    }

    /// Starts to read from the position on.
    fn read_on(&mut self) {
        // The old reader must not count this subscriber any more.
        self.reader = None;
        let readers = &self.sub.readers;
        self.reader = Some(readers.read_after(self.position, &self.sub.tick_by_tick));
    }

    /// Applies the batch that the reader has begun to hand over.
    async fn batch(&mut self, header: Header) -> Result<(), Trouble> {
        match self.apply(&header).await {
            Ok(()) => Ok(()),
            Err(Trouble::Table(trouble)) => {
                let Some(row) = self.in_sync.tables.named(trouble.table()).cloned() else {
                    return Err(trouble.stops_the_subscriber());
                };
                self.park(&row, Trouble::Table(trouble)).await?;
                // The batch comes again, and is applied without that table.
                self.read_on();
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn apply(&mut self, header: &Header) -> Result<(), Trouble> {
        // Steps 1 to 3 (the write, its tick and the stream of its events) were the work of the provider and of the
        // reader. Step 4: the batch must begin at this subscriber's position.
        if header.from != self.position {
            return Err(Trouble::Stale);
        }
        if header.may_be_merged && self.sub.tick_by_tick.relays() {
            // The reader had asked for it before it knew of this subscriber.
            self.read_on();
            return Ok(());
        }
        // Where no table takes changes, nothing can come back: a position gets past the time of a former circle.
        if self.in_sync.tables.len() > 0 {
            self.sub.refuse_circle(&header.lineage.path)?;
        }
        // Sequences come first: the subscriber's sequences must never again give out a key that the batch brings.
        self.sequences
            .before_commit(&self.provider, self.applier.session())
            .await?;
        self.in_sync.tables.begin_batch();
        // Steps 5 to 7: the reader has decoded events into changes and folded the changes into sets, and does not know
        // the tables' states. So step 6 is here: only tables that take their changes now get them.
        let Some(mut part) = next_part(&mut self.reader).await? else {
            self.read_on();
            return Ok(());
        };
        let (mut events, tick) = (part.events, header.to.tick.id);
        // Step 8: sets and position are committed in one transaction.
        if part.is_last()
            && let Some(rows) = self.apply_at_once(&part, header).await?
        {
            return self.has_applied(header, &part, events, rows).await;
        }
        let mut executed = false;
        let mut tx = self.applier.begin().await?;
        let rows = loop {
            self.sub.loop_beat.beat();
            self.in_sync.tables.write(&mut tx, &part, tick).await?;
            if let End::Before(Barrier::Script(script)) = &part.end {
                let writes = (&mut tx, &self.in_sync.tables);
                match scripts::at(self.sub, &self.provider, writes, header, script).await? {
                    Met::GoOn => {}
                    Met::Executed => executed = true,
                    again @ (Met::Smaller | Met::Note(..)) => {
                        tx.rollback().await?;
                        self.stats.nothing_under_way();
                        if let Met::Note(state, why) = again {
                            scripts::note(self.sub, script, state, &why).await?;
                        }
                        self.read_on();
                        return Ok(());
                    }
                }
            }
            if part.is_last() {
                let moved = self.in_sync.move_to(self.sub, header);
                let tables = &self.in_sync.tables;
                break tx
                    .commit_move(moved)
                    .await
                    .map_err(|trouble| tables.under_its_stored_name(trouble))?;
            }
            self.stats.under_way(tx.rows(), header);
            let Some(next) = next_part(&mut self.reader).await? else {
                tx.rollback().await?;
                self.stats.nothing_under_way();
                self.read_on();
                return Ok(());
            };
            part = next;
            events += part.events;
        };
        self.has_applied(header, &part, events, rows).await?;
        if executed {
            // The session has whatever the script has left in it, and small batches were its wish alone.
            self.sub.tick_by_tick.end();
            return Err(Trouble::Stale);
        }
        Ok(())
    }

    /// Notes that a batch is applied, of which this was the last part.
    async fn has_applied(
        &mut self,
        header: &Header,
        last: &batch::BatchPart,
        events: u64,
        rows: u64,
    ) -> Result<(), Trouble> {
        if let End::Last {
            others_follow: false,
        } = last.end
        {
            self.sub.tick_by_tick.end();
        }
        self.above_due |= header.lineage.path != self.sub.named();
        // Step 9: the table tasks tell the provider, so that the queue need not hold the events any more.
        self.position = header.to;
        let origins = header.lineage.origins.as_deref();
        self.origins.at(self.position, origins)?;
        if self.in_sync.tables.take_own() {
            self.origins.has_table();
        }
        self.stats.batch(events, rows, header);
        self.sub.goes_on(TroubledPart::BatchLoop).await;
        self.hold_again().await?;
        if self.sub.settings.has_archives() {
            self.note_source();
        }
        self.sub.for_provider.notify_one();
        Ok(())
    }

    /// Applies a part that is a whole batch, and commits, if it is small and nothing has to be
    /// asked of it first: the rows that were written; else none.
    async fn apply_at_once(
        &mut self,
        part: &batch::BatchPart,
        header: &Header,
    ) -> Result<Option<u64>, Trouble> {
        let step = self.in_sync.move_to(self.sub, header);
        let tables = &mut self.in_sync.tables;
        let Some(sets) = tables.unfiltered(part)? else {
            return Ok(None);
        };
        let applied = self.applier.apply_at_once(&sets, step).await;
        applied.map_err(|trouble| tables.under_its_stored_name(trouble))
    }

    /// Takes a table out of the loop, at the loop's position.
    async fn park(&mut self, row: &TableRow, trouble: Trouble) -> Result<(), Trouble> {
        self.stats.nothing_under_way();
        // If the server refuses a COPY at its begin, the session is lost.
        let usable = self.applier.rollback().await.is_ok();
        let at = self.position.tick;
        let parked = parking::take_out(self.sub, &self.provider, row, at, &trouble).await?;
        if !parked || !usable {
            return Err(Trouble::Stale);
        }
        self.in_sync.tables.remove(row.provider_oid);
        self.sub.for_tables.notify_one();
        Ok(())
    }
}

/// The reader's next delivery; while the job is paused there is none. Cancel safe.
async fn next(reader: &mut Option<Reader>) -> Result<Delivery, Trouble> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

/// The next part of the batch in hand; none if the reader has let this subscriber go.
async fn next_part(reader: &mut Option<Reader>) -> Result<Option<Arc<batch::BatchPart>>, Trouble> {
    match next(reader).await? {
        Delivery::Part(part) => Ok(Some(part)),
        Delivery::LetGo => Ok(None),
        // Another batch before this one's last part.
        Delivery::Begin(_) => Err(Trouble::Stale),
    }
}
