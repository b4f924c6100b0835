//! The story of a base.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    base,
    connect::Session,
    daemon_lock::DaemonLock,
    install::ownership::Schema,
    name::TableName,
    provider::{self, Capture},
    queue::tick::TickId,
};
use tracing::info;

use super::{
    making::{From, Kept, Making, Writing, already, blocking, newest_shapes, unwritable},
    part,
    schema::{self, Dumped},
    source::Source,
};
use crate::{
    archive::{
        bases, chain, detail,
        identity::Identity,
        seal::Recipients,
        store::{Create, Store},
    },
    frames::{
        frame::SequenceEntry,
        manifest::{FILE, FORMAT, LeftOut, Manifest, Missing, Name},
        place::{Number, Place, Time},
    },
};

/// The time between two looks at whether the archive has reached the base's tick.
const LOOK: Duration = Duration::from_millis(100);

/// The time between two requests to publish.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How often the schema is dumped while it changes.
const TRIES: u32 = 3;

impl Making<'_> {
    /// Makes the base.
    ///
    /// # Errors
    /// [`Exit::Running`] where another base of the archive is being made, [`Exit::TimedOut`] where the archive did not
    /// reach its tick in time, [`Exit::Failed`] for all else. What was written until then is removed.
    pub(crate) async fn make(&self) -> Result<Manifest, Failure> {
        let began = Instant::now();
        let cannot = || format!("archive {} cannot be used", self.archive.name);
        let store = Store::open(&self.archive.address).with_context(cannot)?;
        let (job, queue) = (
            self.config.daemon.job_name.clone(),
            self.config.queue.clone(),
        );
        let of = store.clone();
        let identity = blocking(move || {
            let identity = Identity::read(&of, &job, &queue)?;
            Identity::refuses_again(&of).map(|()| identity)
        });
        let identity = identity.await?.with_context(cannot)?;
        let recipients = Recipients::read(&self.archive.encrypt_to).with_context(cannot)?;
        let provider = self.provider().await?;
        // Step 1.
        self.lock(&provider).await?;
        let (of, id) = (store.clone(), identity.archive.clone());
        blocking(move || bases::sweep(&of, &id))
            .await?
            .context("could not look for old bases")?;
        let to = (&store, &recipients);
        let opened = self.open(&provider, to, &identity).await?;
        let name = opened.name.clone();
        let made = self.fill(&provider, to, identity, opened).await;
        if made.is_err() {
            remove(&store, &name).await;
        }
        let manifest = made?;
        let (tables, rows, bytes) = (manifest.tables.len(), manifest.rows(), manifest.bytes());
        let seconds = began.elapsed().as_secs_f64();
        info!(base = %name, tables, rows, bytes, seconds, "base done");
        Ok(manifest)
    }

    /// Steps 4 to 7.
    async fn fill(
        &self,
        provider: &Session,
        (store, recipients): (&Store, &Recipients),
        identity: Identity,
        opened: Opened,
    ) -> Result<Manifest, Failure> {
        let Opened {
            began: clock,
            name,
            time,
            mut source,
            missing,
            dumped,
        } = opened;
        let at = source.at;
        let writing = Writing {
            store,
            recipients,
            name: &name,
        };
        // Step 4.
        let tables = part::read_all(self, &mut source, writing).await?;
        let ended = now(provider).await?;
        // Step 5.
        let sequences = sequences(provider, &self.config.queue).await?;
        let left_out = self.left_out(provider, &dumped.unreadable).await?;
        drop(source);
        // Step 6.
        self.wait_for_archive(provider, TickId(at.1.0)).await?;
        // A hole may have come around the tick since.
        reaches(store, &identity, at).await?;
        // Step 7.
        let manifest = Manifest {
            trunkline: FORMAT.into(),
            archive: identity.archive,
            base: name.clone(),
            label: self.label.clone(),
            source: self.from.name(),
            at,
            time,
            began: clock,
            ended,
            server: dumped.server,
            dump: dumped.major,
            schema_of: dumped.of,
            schema: dumped.object,
            roles: dumped.roles,
            tables,
            sequences,
            missing,
            left_out,
            sealed: Vec::new(),
            detail: None,
        };
        let (of, to) = (store.clone(), recipients.clone());
        let manifest = blocking(move || detail::leave_out(&of, &to, manifest)).await?;
        let manifest = manifest.map_err(|error| unwritable(&name, error))?;
        let text = manifest.written().context("could not write the manifest")?;
        let (of, path) = (store.clone(), name.path(FILE));
        let made = blocking(move || of.create(&path, &[text.as_bytes()])).await?;
        match made {
            Ok(Create::Made) => {}
            Ok(Create::Exists) => return Err(already(&name)),
            Err(error) => return Err(unwritable(&name, error)),
        }
        Ok(manifest)
    }

    /// Steps 2 and 3.
    async fn open(
        &self,
        provider: &Session,
        (store, recipients): (&Store, &Recipients),
        identity: &Identity,
    ) -> Result<Opened, Failure> {
        for tried in 1..=TRIES {
            let began = now(provider).await?;
            let kept = self.kept(provider).await?;
            let (source, missing) = Source::open(self, provider, &kept).await?;
            if self.whole && !missing.is_empty() {
                let missing = missing.iter();
                let missing: Vec<String> = missing
                    .map(|one| format!("{}.{}: {}", one.schema, one.name, one.why))
                    .collect();
                let text = format!("{} lacks {}", self.from.name(), missing.join("; "));
                return Err(Failure::message(Exit::Part, text));
            }
            let at = source.at;
            reaches(store, identity, at).await?;
            let mut read = kept.clone();
            read.retain(|one| self.tables.is_empty() || self.tables.contains(&one.table));
            // A subscriber that lags has rows of a schema that the provider does not have any more.
            let queue = &self.config.queue;
            match (
                schema::changed_since(provider, queue, &read, at.1.0).await?,
                self.from,
            ) {
                (None, _) => {}
                (Some(_), From::Provider) => continue,
                // It may be a tick behind.
                (Some(_), From::Subscriber(_)) if tried < TRIES => {
                    drop(source);
                    tokio::time::sleep(ASK_AGAIN).await;
                    continue;
                }
                (Some(table), From::Subscriber(one)) => {
                    let (name, tick) = (one.source_name(), at.1.0);
                    let text = format!(
                        "{name} is at tick {tick}, and the columns or the name of {table} have changed since"
                    );
                    return Err(Failure::message(Exit::Failed, text).with_hint(
                        "wait until it is level, or read the provider: --from provider",
                    ));
                }
            }
            let time = time_of(provider, &self.config.queue, at).await?;
            let name = Name::of(began, at, self.from.kind());
            let writing = Writing {
                store,
                recipients,
                name: &name,
            };
            let dumped = schema::dump(self, provider, &source, &kept, writing).await;
            if !matches!(dumped, Ok(Some(_))) {
                remove(store, &name).await;
            }
            if let Some(dumped) = dumped? {
                return Ok(Opened {
                    began,
                    name,
                    time,
                    source,
                    missing,
                    dumped,
                });
            }
        }
        let text =
            format!("the tables' columns have changed {TRIES} times while the schema was read");
        Err(Failure::message(Exit::Failed, text).with_hint("repeat it when the schema rests"))
    }

    async fn provider(&self) -> Result<Session, Failure> {
        self.session(&self.config.provider, Schema::PROVIDER).await
    }

    async fn lock(&self, provider: &Session) -> Result<(), Failure> {
        let consumer = &self.archive.consumer;
        if (DaemonLock::Base { consumer }).take(&**provider).await? {
            return Ok(());
        }
        let text = format!(
            "archive {}: another base of it is being made",
            self.archive.name
        );
        Err(Failure::message(Exit::Running, text))
    }

    /// The tables that the base is to have.
    async fn kept(&self, provider: &Session) -> Result<Vec<Kept>, Failure> {
        let queue = &self.config.queue;
        let mut captures = provider::captures(&**provider, Some(queue)).await?;
        captures.retain(|one| one.is_table_of(&self.archive.consumer) && !one.dropped);
        if let Some(unknown) = self
            .tables
            .iter()
            .find(|table| !captures.iter().any(|one| one.name == **table))
        {
            let text = format!("archive {} does not keep {unknown}", self.archive.name);
            return Err(
                Failure::message(Exit::Usage, text).with_hint("replay tables lists what it keeps")
            );
        }
        let shapes = newest_shapes(provider, queue).await?;
        let kept = |one: Capture| {
            let (shape, text) = shapes
                .get(&one.oid)
                .cloned()
                .with_context(|| format!("the provider has no shape of {}", one.name))?;
            Ok(Kept {
                table: one.name,
                oid: one.oid,
                shape,
                text,
            })
        };
        Ok(captures
            .into_iter()
            .map(kept)
            .collect::<anyhow::Result<_>>()?)
    }

    /// What the database has that no base of the archive can have.
    async fn left_out(
        &self,
        provider: &Session,
        unreadable: &[TableName],
    ) -> Result<Vec<LeftOut>, Failure> {
        let captures = provider::captures(&**provider, Some(&self.config.queue)).await?;
        let kept: HashMap<u32, &Capture> = captures
            .iter()
            .filter(|one| one.is_table_of(&self.archive.consumer))
            .map(|one| (one.oid, one))
            .collect();
        let mut others = provider::tables(&**provider).await?;
        others.retain(|(oid, _)| !kept.contains_key(oid));
        others.sort_by(|one, other| one.1.cmp(&other.1));
        let out = |what: String, why: &str| LeftOut {
            what,
            why: why.into(),
        };
        let mut left_out: Vec<LeftOut> = others
            .iter()
            .map(|(_, table)| {
                let why = match unreadable.contains(table) {
                    true => "replay's role may not read it: not even its definition is there",
                    false => {
                        "the archive does not keep it: its definition is there, its rows are not"
                    }
                };
                out(format!("table {table}"), why)
            })
            .collect();
        let carried = provider::all_sequence_values(&**provider, &self.config.queue).await?;
        for sequence in provider::sequence_candidates(&**provider, &self.config.queue).await? {
            if !carried.iter().any(|one| one.sequence == sequence) {
                let why = "it is not carried over (replay add-seq): restored, it begins anew";
                left_out.push(out(format!("sequence {sequence}"), why));
            }
        }
        let objects = base::large_objects(&**provider).await?;
        if objects > 0 {
            let why = "large objects are not replicated";
            left_out.push(out(format!("{objects} large objects"), why));
        }
        Ok(left_out)
    }

    /// Waits until the archive has the base's tick on its disk. The queue is told only what is there, so the consumer's
    /// place says it.
    async fn wait_for_archive(&self, provider: &Session, tick: TickId) -> Result<(), Failure> {
        let (queue, consumer) = (&self.config.queue, &self.archive.consumer);
        let mut asked: Option<Instant> = None;
        loop {
            let held = provider::consumer_position(&**provider, queue, consumer).await?;
            let held = held.with_context(|| {
                format!("the provider has no consumer {consumer}, or has detached it")
            })?;
            if held.tick.id >= tick {
                return Ok(());
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
                provider::hint_tables(&**provider, queue).await?;
                asked = Some(Instant::now());
            }
            if self.deadline.is_some_and(|end| Instant::now() >= end) {
                let text = format!(
                    "archive {} is at tick {}, and the base is one of tick {tick}: it is not made",
                    self.archive.name, held.tick.id
                );
                return Err(Failure::message(Exit::TimedOut, text)
                    .with_hint("see replay archive check; does replay run?"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A base that is begun.
struct Opened {
    began: Time,
    name: Name,
    time: Time,
    source: Source,
    missing: Vec<Missing>,
    dumped: Dumped,
}

async fn now(provider: &Session) -> Result<Time, Failure> {
    let clock = base::clock(&**provider).await?;
    Ok(Time::of(clock).context("the provider's clock is beyond the year 9999")?)
}

/// Removes what was written of a base that has failed. What cannot be removed now goes when the next one is made.
async fn remove(store: &Store, name: &Name) {
    let (store, name) = (store.clone(), name.clone());
    let removed = blocking(move || match store.has(&name.path(FILE))? {
        true => Ok(()),
        false => store.remove_all(&name.directory()),
    });
    let _ = removed.await;
}

/// Checks that the archive has what follows a base's tick, or will have it.
async fn reaches(store: &Store, identity: &Identity, at: Place) -> Result<(), Failure> {
    let (store, identity) = (store.clone(), identity.clone());
    let reached = blocking(move || chain::reaches(&store, &identity, at)).await?;
    let text = || format!("a base at tick {} could not be restored", at.1.0);
    Ok(reached.with_context(text)?)
}

/// When the tick of a base was made.
async fn time_of(provider: &Session, queue: &str, at: Place) -> Result<Time, Failure> {
    let (before, tick) = (TickId(at.1.0 - 1), TickId(at.1.0));
    let ticks = provider::ticks_between(&**provider, queue, before, tick).await?;
    let found = ticks.iter().find(|one| one.tick.tag.0 == at.2.0);
    let time = found.and_then(|tick| Time::of(tick.time));
    Ok(time.with_context(|| {
        format!("the provider's queue has no tick {tick} of that place: is the subscriber one of this queue?")
    })?)
}

async fn sequences(provider: &Session, queue: &str) -> Result<Vec<SequenceEntry>, Failure> {
    let values = provider::all_sequence_values(&**provider, queue).await?;
    let entries = values.into_iter().map(|one| {
        SequenceEntry(
            one.sequence.schema,
            one.sequence.name,
            Number(one.last_value),
            one.is_called,
            Number(one.increment),
        )
    });
    Ok(entries.collect())
}
