//! The steps of a restore, in order.

use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use admin::exit::{Exit, Failure};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, Purpose, Session},
    install::ownership::Schema,
    name::TableName,
    queue::tick::TickId,
    subscriber::{
        position::{self, Position},
        restore::{self, Followed},
        session_role::SessionRole,
        table_state::{self, Deed, Why},
    },
};
use tracing::info;

use super::{
    heir::Subscribed,
    load,
    schema::{self, BaseSchema},
    target::Restoring,
    unknown::Unknown,
};
use crate::{
    files::{
        apply::{self, Database, Done, Reached},
        batches::{FileBatch, Files, Next, UpTo},
        stream::Wanted,
        trail::Ahead,
    },
    frames::{
        frame::{SequenceEntry, TickEntry},
        place::{Place, Time},
    },
    trouble::Trouble,
};

/// Events that are looked through at once.
const EVENTS: i64 = 1 << 20;

/// What is noted when the tables are followed.
const FOLLOWED: &str = "followed";

/// What a restore has done.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The tick whose state the tables have.
    pub tick: i64,
    /// The tick after it, with its time, where the archive has one.
    pub next: Option<(i64, Time)>,
    /// Rows of the base.
    pub loaded: u64,
    /// Rows that were written after that.
    pub rows: u64,
    /// Changes that met another row than they said: the restore is not good.
    pub conflicts: i64,
    /// Tables that did not take their changes, and why not.
    pub left: Vec<String>,
    /// Sequences that the archive has and the database has not.
    pub no_sequence: Vec<TableName>,
    /// Triggers that were not made.
    pub left_out: Vec<String>,
    /// Materialized views that have no rows yet.
    pub not_filled: Vec<TableName>,
    /// Tables that frames name and the base has not.
    pub unknown: Unknown,
    /// The subscriber that goes on with the database; none: nobody does.
    pub subscribed: Option<Subscribed>,
}

impl Restoring<'_> {
    /// Restores, or goes on with it.
    ///
    /// # Errors
    /// What could not be done, by name. What was done until then stays, and the same call goes on from there.
    pub(crate) async fn run(&self) -> Result<Restored, Failure> {
        let began = Instant::now();
        let session = self.session().await?;
        // Step 2.
        let whole = match self.is_whole {
            true => Some(BaseSchema::open(self, &session).await?),
            false => None,
        };
        match &whole {
            Some(schema) => schema.make(self, &session).await?,
            None => schema::make_alike(self, &session).await?,
        }
        // Step 3.
        let loaded = load::run(self, &session).await?;
        // Step 4.
        if let Some(schema) = &whole {
            schema.index(self, &session).await?;
        }
        let done = restore::done(&*session, self.consumer).await?;
        if !done.contains(FOLLOWED) {
            schema::analyze(self, &session).await?;
            self.follow(&session).await?;
        }
        // Step 5.
        let (reached, unknown) = self.apply(&session).await?;
        let unknown = self.sorted(unknown, reached.position).await;
        // Step 6.
        let no_sequence = match self.is_whole {
            true => self.set_sequences(&session, &reached).await?,
            false => Vec::new(),
        };
        // Step 7.
        let left_out = match &whole {
            Some(schema) => {
                schema
                    .finish(self, &session, !reached.left.is_empty())
                    .await?
            }
            None => Vec::new(),
        };
        let not_filled = match self.is_whole {
            true => restore::not_filled(&*session).await?,
            false => Vec::new(),
        };
        let conflicts = restore::conflicts(&*session, self.consumer).await?;
        let left = reached.left.iter();
        let left: Vec<String> = left
            .map(|row| match row.stand.why() {
                Some(why) => format!("{}: {}", row.table, why.error),
                None => format!("{}: {}", row.table, row.stand.state().as_str()),
            })
            .collect();
        // Step 8.
        let subscribed = match self.heir {
            None => {
                restore::end(&*session, self.consumer, !self.had_schema).await?;
                None
            }
            Some(heir) => {
                let at = reached.position;
                let taken = heir.take_over(self.config, &session, (self.consumer, at));
                Some(taken.await?)
            }
        };
        let restored = Restored {
            tick: reached.position.tick.id.0,
            next: reached
                .behind
                .map(|TickEntry(tick, _, time, _)| (tick.0, time)),
            loaded,
            rows: reached.done.rows,
            conflicts,
            left,
            no_sequence,
            left_out,
            not_filled,
            unknown,
            subscribed,
        };
        let seconds = began.elapsed().as_secs_f64();
        let (tick, rows) = (restored.tick, loaded + restored.rows);
        info!(tick, rows, conflicts, seconds, "restored");
        Ok(restored)
    }

    /// Gives the tables their place: from here on the archive's frames are theirs.
    async fn follow(&self, session: &Session) -> Result<(), Failure> {
        let tables: Vec<Followed> = self
            .tables
            .iter()
            .map(|(table, target)| Followed {
                table: table.table(),
                provider_oid: table.oid,
                target: target.clone(),
            })
            .collect();
        let begin = session.batch_execute("begin").await;
        begin.context("could not begin a transaction")?;
        let (job, queue) = (&self.config.daemon.job_name, &self.config.queue);
        let at = self.manifest.at.into();
        let followed = async {
            restore::note(&**session, self.consumer, FOLLOWED).await?;
            restore::follow(&**session, self.consumer, job, queue, at, &tables).await
        };
        let followed = followed.await;
        let end = if followed.is_ok() {
            "commit"
        } else {
            "rollback"
        };
        let ended = session.batch_execute(end).await;
        followed?;
        Ok(ended.context("could not commit")?)
    }

    /// Applies what follows.
    async fn apply(
        &self,
        session: &Session,
    ) -> Result<(Reached, BTreeMap<u32, TableName>), Failure> {
        let from = self.position(session).await?;
        let queue = &self.config.queue;
        if self.up_to.is(from) && Place::from(from) == self.manifest.at {
            // Nothing follows that is needed, and it need not be there any more: the base may outlive its segments.
            let files = Files::open(self.store.clone(), queue, from);
            let next = files.map(|files| files.map(|mut files| files.next(0, self.up_to)));
            let behind = match next {
                Ok(Ok(Ok(Next::Reached(tick)))) => Some(tick),
                Ok(_) | Err(_) => None,
            };
            let reached = Reached {
                position: from,
                behind,
                ahead: None,
                left: Vec::new(),
                conflicts: 0,
                unknown: BTreeMap::new(),
                done: Done::default(),
            };
            return Ok((reached, BTreeMap::new()));
        }
        let mut rows_before = 0;
        let (begun_at, tick, mut reached) = loop {
            let from = self.position(session).await?;
            let open = match self.on_branch {
                true => Files::open_branch,
                false => Files::open,
            };
            let opened = open(self.store.clone(), queue, from).map_err(|trouble| {
                Failure::new(
                    Exit::Failed,
                    anyhow!(trouble.chain()).context("the archive"),
                )
            })?;
            let mut files = opened.map_err(|absent| {
                let text = format!("the archive has not got what follows the base: {absent}");
                Failure::message(Exit::Failed, text)
            })?;
            let (mut tick, mut rows) = (from.tick.id, 0);
            let told = |tick_now, rows_now| (tick, rows) = (tick_now, rows_now);
            match self.apply_once(&mut files, told).await {
                Ok(reached) => break (from, tick, reached),
                Err(trouble) => {
                    rows_before += rows;
                    if !self.set_aside(session, &trouble).await? {
                        let context = format!("the restore is at tick {tick} and cannot go on");
                        return Err(Failure::new(
                            Exit::Failed,
                            anyhow!(trouble.chain()).context(context),
                        ));
                    }
                }
            }
        };
        reached.done.rows += rows_before;
        match &reached.ahead {
            Some(Ahead::Hole(hole)) => {
                let text = format!("the archive has a hole after tick {tick}: {}", hole.why);
                Err(Failure::message(Exit::Failed, text))
            }
            Some(Ahead::Missing(seq)) => {
                let text = format!("segment {seq} is missing, the restore is at tick {tick}");
                Err(Failure::message(Exit::Failed, text))
            }
            Some(Ahead::Fork(left)) => {
                let text = format!(
                    "the archive goes on from tick {left}, and the restore is at tick {tick}"
                );
                Err(Failure::message(Exit::Failed, text))
            }
            Some(Ahead::Hop(border)) if !matches!(self.up_to, UpTo::Time(_)) => {
                let text = format!(
                    "the archive has not got what was asked for: at tick {tick} it goes on in another provider's queue \
                     ({})",
                    border.name
                );
                Err(Failure::message(Exit::Failed, text))
            }
            Some(Ahead::End | Ahead::Segment | Ahead::Hop(_)) | None => {
                let mut unknown = reached.unknown.clone();
                if self.is_whole && Place::from(begun_at) != self.manifest.at {
                    // What was applied before names tables, too, and nobody has heard of those.
                    unknown.extend(self.passed(begun_at).await?);
                }
                let unknown = match self.is_whole {
                    true => unknown,
                    false => BTreeMap::new(),
                };
                Ok((reached, unknown))
            }
        }
    }

    /// The tables that are named between the base and a position, and that are not in the base.
    async fn passed(&self, up_to: Position) -> Result<BTreeMap<u32, TableName>, Failure> {
        let failed = |trouble: Trouble| {
            let error = anyhow!(trouble.chain()).context("could not read what was applied before");
            Failure::new(Exit::Failed, error)
        };
        let open = match self.on_branch {
            true => Files::open_branch,
            false => Files::open,
        };
        let opened = open(
            self.store.clone(),
            &self.config.queue,
            self.manifest.at.into(),
        );
        let opened = opened.map_err(failed)?;
        let mut files = opened.map_err(|absent| {
            let text = format!("could not read what was applied before: {absent}");
            Failure::message(Exit::Failed, text)
        })?;
        let mut known: HashSet<u32> = self.tables.iter().map(|(table, _)| table.oid).collect();
        let mut found = BTreeMap::new();
        let up_to = UpTo::Tick(up_to.epoch, up_to.tick.id);
        let none = Wanted {
            tables: Some(HashSet::new()),
            not_shown_by: None,
        };
        loop {
            let next = files.next(EVENTS, up_to).map_err(failed)?;
            if let Next::Batch(batch) = &next {
                // Shapes come with the events.
                let mut events = files.events(batch, none.clone());
                while events.next().await.map_err(failed)?.is_some() {}
                continue;
            }
            let named = files.tables().into_iter();
            found.extend(named.filter(|(oid, _)| !known.contains(oid)));
            match next {
                Next::Nothing(Ahead::Hop(border))
                    if files.goes_over(&border, up_to).map_err(failed)? =>
                {
                    let heirs = files.heirs(&border).map_err(failed)?;
                    let heirs = heirs.tables.iter().filter(|one| known.contains(&one.was));
                    known = heirs.map(|one| one.oid).collect();
                    let behind = files.behind(&border).map_err(failed)?;
                    files = behind.map_err(|absent| {
                        let text = format!("could not read what was applied before: {absent}");
                        Failure::message(Exit::Failed, text)
                    })?;
                }
                Next::Batch(_) | Next::Reached(_) | Next::Nothing(_) => return Ok(found),
            }
        }
    }

    async fn position(&self, session: &Session) -> Result<Position, Failure> {
        let stored = position::find(&**session, self.consumer).await?;
        Ok(stored.context("the restore's position is gone")?.position)
    }

    /// Applies what follows, until a table does not take its changes.
    async fn apply_once(
        &self,
        files: &mut Files,
        mut told: impl FnMut(TickId, u64),
    ) -> Result<Reached, Trouble> {
        let job = &self.config.daemon.job_name;
        let name = ApplicationName::new(Purpose::Apply, job);
        let database = Database {
            session: self
                .into
                .connect_for(&name, Schema::SUBSCRIBER)
                .await
                .map_err(Trouble::connect("database"))?,
            consumer: self.consumer,
            on_conflict: self.config.on_conflict,
            session_role: SessionRole::Replica,
            chunk_bytes: usize::try_from(self.config.chunk_size).unwrap_or(usize::MAX),
            max_events: i64::try_from(self.config.max_batch_events).unwrap_or(i64::MAX),
            beside: !self.is_whole,
            // The tables are the provider's own, as they were at the base.
            alters: true,
        };
        let told = |batch: &FileBatch, done: &Done| told(batch.to.tick.id, done.rows);
        apply::apply(files, database, self.up_to, None, told).await
    }

    /// Parks a table that does not take its changes, with the reason, so that the others go on; false: the trouble is
    /// not one of a table alone.
    async fn set_aside(&self, session: &Session, trouble: &Trouble) -> Result<bool, Failure> {
        let Trouble::Table(of_table) = trouble else {
            return Ok(false);
        };
        let table = of_table.table();
        let Some(row) = table_state::find(&**session, self.consumer, table).await? else {
            return Ok(false);
        };
        let at = self.position(session).await?.tick;
        let why = Why {
            error: trouble.log_line(),
            detail: Some(trouble.chain()),
            advice: trouble.advice().unwrap_or_default().to_owned(),
        };
        let Ok(step) = table_state::step(&row.stand, Deed::TakeOut(at, why)) else {
            return Ok(false);
        };
        Ok(table_state::take_step(&**session, self.consumer, table, &step).await?)
    }

    /// Sets the sequences: as the last frame had them, or as the base had them where no frame has.
    async fn set_sequences(
        &self,
        session: &Session,
        reached: &Reached,
    ) -> Result<Vec<TableName>, Failure> {
        let key = |entry: &SequenceEntry| (entry.0.clone(), entry.1.clone());
        let base = self.manifest.sequences.iter();
        let mut values: BTreeMap<(String, String), SequenceEntry> =
            base.map(|entry| (key(entry), entry.clone())).collect();
        let at_base = Place::from(reached.position) == self.manifest.at;
        if !at_base {
            values.extend(reached.done.sequences.clone());
        }
        let mut missing = Vec::new();
        for ((schema, name), SequenceEntry(_, _, value, is_called, _)) in values {
            let sequence = TableName::new(schema, name);
            if !restore::set_sequence(&**session, &sequence, value.0, is_called).await? {
                missing.push(sequence);
            }
        }
        Ok(missing)
    }
}
