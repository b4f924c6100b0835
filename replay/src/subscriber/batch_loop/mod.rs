//! One batch from open to finished, for ever: the story of replay in one page.
//!
//! The only commit that exists takes the position with it. Between any two numbered steps the
//! process may die: the batch is then read and applied again from its beginning, for nothing
//! of it was committed, or it is all there and the position says so.

mod part;

use std::{collections::HashMap, time::Duration};

use sql::{
    connect::Session,
    name::TableName,
    provider,
    subscriber::{
        position::{self, Move, Position},
        table_state::{self, State, TableRow},
    },
};
use tracing::info;

use super::{
    sequences::Sequences,
    shared::Subscription,
    stats::Stats,
    tables::{
        parking::{self, Parking},
        take_over,
    },
    told::Part,
};
use crate::{
    apply::Applier,
    queue::{filters::Filters, track::OffTrack},
    reading::{
        reader::{Delivery, Header},
        shared::Reader,
    },
    table::{self, helper},
    trouble::Trouble,
};

/// How often to look after tables, sequences and pause while no batch comes.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The loop of one subscriber, with its sessions open and its position read.
pub(crate) struct BatchLoop<'a> {
    pub(crate) sub: &'a Subscription,
    pub(crate) applier: Applier,
    /// For questions to the provider while the reader's session streams.
    pub(crate) provider: Session,
    pub(crate) position: Position,
    pub(crate) tables_version: i64,
    paused: bool,
    /// Tables and pause are to be read again before the next batch. Between two looks a list
    /// of tables that has become wrong is harmless: its version is part of every commit.
    look_due: bool,
    /// All tables that want to be taken over are to be read, not only those that were told of.
    all_due: bool,
    /// The tables that are `ok`, by their oids on the provider. None becomes `ok` but by this loop,
    /// and whoever else changes one of them changes the lists' version: so they are read again
    /// only where that has changed, and a look costs what is under way and not what is in sync.
    pub(crate) tables: HashMap<u32, TableRow>,
    /// The tables are to be read whatever their version is.
    tables_unread: bool,
    /// The tables that the batch in hand writes, by their names of now on the provider.
    names: HashMap<TableName, u32>,
    /// Asks which rows of tables with a filter are the subscriber's, over `provider`.
    filters: Filters,
    /// None while paused.
    reader: Option<Reader>,
    sequences: Sequences,
    stats: &'a mut Stats,
}

/// Runs until asked to stop, or until trouble; the caller then opens everything anew.
pub(crate) async fn run(sub: &Subscription, stats: &mut Stats) -> Result<(), Trouble> {
    let mut this = BatchLoop::open(sub, stats).await?;
    let mut idle_look = tokio::time::interval(IDLE_LOOK);
    loop {
        sub.loop_beat.beat();
        this.at_border().await?;
        tokio::select! {
            delivery = this.next(), if !this.paused => match delivery? {
                Delivery::Begin(header) => this.batch(header).await?,
                Delivery::LetGo => this.read_on(),
                Delivery::Part(_) => return Err(Trouble::Stale),
            },
            () = sub.for_loop.notified() => this.look_due = true,
            _ = idle_look.tick() => {
                this.look_due = true;
                this.all_due = true;
                this.stats.tell_if_due();
                this.recover().await?;
                this.sequences.carry(&this.provider, this.applier.session()).await?;
            }
            () = sub.stop.cancelled() => return Ok(()),
        }
    }
}

impl<'a> BatchLoop<'a> {
    async fn open(sub: &'a Subscription, stats: &'a mut Stats) -> Result<BatchLoop<'a>, Trouble> {
        let apply = sub.subscriber_session("apply").await?;
        let stored = position::find(&*apply, &sub.consumer)
            .await
            .map_err(Trouble::database("could not read the position"))?
            .ok_or_else(|| not_installed(sub))?;
        let provider = sub.provider_session("admin").await?;
        hold_queue(sub, &provider, stored.position).await?;
        let reader =
            (!stored.paused).then(|| sub.readers.read_after(stored.position, &sub.tick_by_tick));
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
            sequences,
            position: stored.position,
            tables_version: stored.tables_version,
            paused: stored.paused,
            look_due: true,
            all_due: true,
            tables: HashMap::new(),
            tables_unread: true,
            names: HashMap::new(),
            filters: Filters::default(),
            sub,
            applier,
            provider,
            reader,
            stats,
        })
    }

    /// Between two batches: reads pause and tables again, and takes tables over that want to.
    async fn at_border(&mut self) -> Result<(), Trouble> {
        if !std::mem::take(&mut self.look_due) {
            return Ok(());
        }
        let wanting = self.look().await?;
        let mut taken = false;
        for row in wanting {
            if let Some(place) = table::take_over(&row, self.position.tick.id) {
                match take_over::run(self, &row, place).await {
                    Ok(()) => taken = true,
                    Err(trouble @ Trouble::Table { .. }) => self.park(&row, trouble).await?,
                    Err(other) => return Err(other),
                }
            }
        }
        if taken {
            self.tell_if_all_are_ok().await?;
        }
        Ok(())
    }

    /// Reads position and pause, and the tables where they may have changed; gives those that
    /// want to be taken over.
    async fn look(&mut self) -> Result<Vec<TableRow>, Trouble> {
        let session = self.applier.session();
        let stored = position::find(&**session, &self.sub.consumer).await;
        let stored = stored
            .map_err(could_not_read())?
            .ok_or_else(|| not_installed(self.sub))?;
        if stored.position != self.position {
            return Err(Trouble::Stale);
        }
        if stored.paused != self.paused {
            self.paused = stored.paused;
            info!(consumer = %self.sub.consumer, paused = self.paused, "pause changed");
            // A batch half read would hold a snapshot and locks on the provider all the while.
            self.reader = None;
            if !self.paused {
                self.read_on();
            }
        }
        if stored.tables_version != self.tables_version {
            // A new sequence counts from here on: it must not be behind what commits next.
            self.sequences
                .carry(&self.provider, self.applier.session())
                .await?;
            self.tables_unread = true;
        }
        if self.tables_unread {
            // The version first: what changes after it was read cannot be committed under it.
            self.tables_version = stored.tables_version;
            self.read_tables().await?;
        }
        self.read_wanting().await
    }

    /// What was told of this loop is over when it has committed a batch, or there is none to be read: a connection alone
    /// proves nothing.
    async fn recover(&self) -> Result<(), Trouble> {
        if !self.sub.is_in_trouble(Part::BatchLoop) {
            return Ok(());
        }
        let (queue, stands) = (&self.sub.settings.queue, self.position.tick.id);
        let last = sql::queue::tick::last(&*self.provider, queue, stands).await;
        let last = last.map_err(Trouble::queue)?;
        if self.paused || last.is_some_and(|last| last.newest.id == stands) {
            self.sub.goes_on(Part::BatchLoop).await;
        }
        Ok(())
    }

    async fn read_wanting(&mut self) -> Result<Vec<TableRow>, Trouble> {
        let (session, consumer) = (self.applier.session(), &self.sub.consumer);
        let told = self.sub.take_wanting();
        if std::mem::take(&mut self.all_due) {
            let all = table_state::unfinished(&**session, consumer, &[State::WannaSync]).await;
            return all.map_err(could_not_read());
        }
        let mut wanting = Vec::new();
        for table in told {
            let row = table_state::find(&**session, consumer, &table).await;
            wanting.extend(row.map_err(could_not_read())?);
        }
        Ok(wanting)
    }

    async fn read_tables(&mut self) -> Result<(), Trouble> {
        let rows = table_state::list(&**self.applier.session(), &self.sub.consumer).await;
        let rows = rows.map_err(could_not_read())?;
        self.applier.choose(&rows);
        self.applier.map_tables(&rows);
        self.tables = rows
            .into_iter()
            .filter(|row| row.state == State::Ok)
            .map(|row| (row.provider_oid, row))
            .collect();
        self.tables_unread = false;
        Ok(())
    }

    async fn tell_if_all_are_ok(&self) -> Result<(), Trouble> {
        let session = self.applier.session();
        let all_ok = table_state::none_unfinished(&**session, &self.sub.consumer).await;
        if all_ok.map_err(could_not_read())? {
            info!(consumer = %self.sub.consumer, tables = self.tables.len(), "all tables in sync");
        }
        Ok(())
    }

    /// Reads from the position on.
    fn read_on(&mut self) {
        // Who reads for us now must not count us any more.
        self.reader = None;
        let readers = &self.sub.readers;
        self.reader = Some(readers.read_after(self.position, &self.sub.tick_by_tick));
    }

    /// The reader's next delivery; while paused there is none. Cancel safe.
    async fn next(&mut self) -> Result<Delivery, Trouble> {
        match &mut self.reader {
            Some(reader) => reader.next().await,
            None => std::future::pending().await,
        }
    }

    /// Applies the batch that the reader has begun to hand over.
    async fn batch(&mut self, header: Header) -> Result<(), Trouble> {
        match self.apply(&header).await {
            Ok(()) => Ok(()),
            Err(Trouble::Table {
                table,
                doing,
                advice,
                source,
            }) => {
                let Some(row) = self.tables.values().find(|row| row.table == table).cloned() else {
                    return Err(Trouble::Operator {
                        doing: format!("table {table}: {doing}"),
                        advice,
                        source,
                    });
                };
                self.park(
                    &row,
                    Trouble::Table {
                        table,
                        doing,
                        advice,
                        source,
                    },
                )
                .await?;
                // The batch comes again, without that table.
                self.read_on();
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn apply(&mut self, header: &Header) -> Result<(), Trouble> {
        // 1 to 3, the write, its tick and the stream of its events, were the provider's and
        // the reader's part. 4: the batch must begin where this subscriber stands.
        if header.from != self.position {
            return Err(Trouble::Stale);
        }
        // Sequences first: no key that the batch brings may come out of the subscriber's again.
        self.sequences
            .before_commit(&self.provider, self.applier.session())
            .await?;
        self.names.clear();
        let (mut events, mut is_begun) = (0, false);
        // 5 to 7: the reader has decoded events into changes and folded these into sets, and
        // knows no table's state: 6, only tables that take their changes now get them.
        let last = loop {
            let part = match self.next().await? {
                Delivery::Part(part) => part,
                Delivery::LetGo => {
                    if is_begun {
                        self.applier.rollback().await?;
                        self.stats.nothing_under_way();
                    }
                    self.read_on();
                    return Ok(());
                }
                // Another batch before this one's last part.
                Delivery::Begin(_) => return Err(Trouble::Stale),
            };
            events += part.events;
            self.sub.loop_beat.beat();
            self.check(&part)?;
            // 8: sets and position in one transaction.
            if part.last && !is_begun && self.apply_at_once(&part, header).await? {
                break part;
            }
            if !std::mem::replace(&mut is_begun, true) {
                self.applier.begin().await?;
            }
            self.write(&part, header).await?;
            if part.last {
                let step = self.move_to(header);
                let committed = self.applier.commit_move(step).await;
                committed.map_err(|trouble| self.under_its_stored_name(trouble))?;
                break part;
            }
            self.stats.under_way(self.applier.rows(), header);
            if let Some((shape, mark)) = &part.mark
                && self.takes(shape.table.oid)
            {
                self.mark(shape, mark, header).await?;
            }
        };
        if !last.others_follow {
            self.sub.tick_by_tick.end();
        }
        // 9: the table tasks tell the provider, so that it can give the events away.
        self.position = header.to;
        self.stats.batch(events, self.applier.rows(), header);
        self.sub.goes_on(Part::BatchLoop).await;
        self.sub.for_provider.notify_one();
        Ok(())
    }

    fn move_to(&self, header: &Header) -> Move {
        Move {
            from: header.from,
            tables_version: self.tables_version,
            to: header.to.tick,
            to_time: Some(header.to_time),
            conflicts: 0,
        }
    }

    /// Takes a table out of the loop where it stands, its changes held in the queue.
    ///
    /// The helper consumer comes first: if the process dies before the state is stored, a
    /// helper is left over, and cleared away; the other way round events would be lost.
    async fn park(&mut self, row: &TableRow, trouble: Trouble) -> Result<(), Trouble> {
        self.stats.nothing_under_way();
        // A COPY that the server refuses at its begin takes the session with it.
        let usable = self.applier.rollback().await.is_ok();
        let tick = row.tick.unwrap_or(self.position.tick);
        let _reaping_waits = self.sub.helpers.lock().await;
        if row.copied.is_none() {
            let helper = helper::parked(&self.sub.consumer, row.provider_oid);
            sql::queue::consumer::register_at(
                &*self.provider,
                &self.sub.settings.queue,
                &helper,
                tick.id,
            )
            .await
            .map_err(Trouble::queue)?;
        }
        let parking = Parking {
            table: &row.table,
            from: (row.state, row.tick),
            tick: Some(tick),
            copied: row.copied.as_ref(),
            told: None,
        };
        if !parking::park(self.sub, parking, &trouble).await? || !usable {
            return Err(Trouble::Stale);
        }
        self.tables.remove(&row.provider_oid);
        self.sub.for_tables.notify_one();
        Ok(())
    }
}

fn could_not_read() -> impl FnOnce(tokio_postgres::Error) -> Trouble {
    Trouble::database("could not read positions and tables")
}

/// Makes sure that the queue keeps what follows the subscriber's position. The provider may
/// believe the subscriber further on than it is, where that was restored from a backup, and
/// would give events away under the reader's hands.
async fn hold_queue(
    sub: &Subscription,
    provider: &Session,
    stands: Position,
) -> Result<(), Trouble> {
    let queue = &sub.settings.queue;
    let known = provider::consumer_position(&**provider, queue, &sub.consumer)
        .await
        .map_err(Trouble::database(
            "could not ask the provider for the consumer",
        ))?;
    let Some(known) = known else {
        // The queue's own words for it: there is none, or it was detached.
        return match sql::queue::consumer::advance(
            &**provider,
            queue,
            &sub.consumer,
            stands.tick.id,
        )
        .await
        {
            Err(why) => Err(Trouble::no_consumer(&sub.consumer, stands.tick.id, why)),
            Ok(_) => Err(Trouble::Stale),
        };
    };
    // A position off the provider's track is the reader's to tell.
    if known.epoch == stands.epoch && known.tick.id > stands.tick.id {
        match sql::queue::consumer::register_at(&**provider, queue, &sub.consumer, stands.tick.id)
            .await
        {
            Ok(_) => {}
            Err(error) if error.class() == sql::Class::Transient => {
                return Err(Trouble::queue(error));
            }
            Err(gone) => {
                let lost = OffTrack::Behind {
                    stored: stands.tick.id.0,
                };
                return Err(Trouble::Operator {
                    doing: "stopped, nothing was applied".into(),
                    advice: lost.advice().into(),
                    source: anyhow::Error::new(gone).context(lost),
                });
            }
        }
    }
    Ok(())
}

fn not_installed(sub: &Subscription) -> Trouble {
    Trouble::Operator {
        doing: format!(
            "consumer {} is not installed on the subscriber",
            sub.consumer
        ),
        advice: "run `replay install`".into(),
        source: anyhow::anyhow!("trunkline.position has no row of it"),
    }
}
