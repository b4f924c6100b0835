//! Who goes on with a restored database: a subscriber of the job, from the position that the restore has reached. The
//! provider copies nothing, and holds nothing while the restore lasts: what comes meanwhile is in the archive.

use admin::{
    config::{ArchiveConfig, ReplayConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, Purpose, Session},
    install::ownership::Schema,
    moment,
    name::TableName,
    provider::{self, Capture, WantedIdentity},
    queue::{consumer, tick::Epoch},
    subscriber::{
        position::{self, Position},
        relation, restore, sequence_state,
        table_state::{self, Stand},
    },
};

use crate::{
    archive::hold::{is_gone, registered_anew},
    files::batches::UpTo,
};

/// How a restore ends that nobody can go on with.
const OTHERWISE: &str =
    "with the same words and --then stop the restore ends as a database of its own";

/// A subscriber that is to go on with a restored database.
pub(crate) struct Heir<'a> {
    /// The archive that is restored from.
    pub archive: &'a ArchiveConfig,
    /// The subscriber.
    pub subscriber: &'a SubscriberConfig,
}

/// A subscriber that goes on.
#[derive(Debug)]
pub(crate) struct Subscribed {
    /// What the config calls it.
    pub name: String,
    /// Tables and sequences that it does not follow, each with the reason.
    pub not_followed: Vec<String>,
}

impl Heir<'_> {
    /// Refuses a database that nobody could go on with, before anything is made there.
    ///
    /// # Errors
    /// The subscriber has tables already, or the archive's end is not in the provider's queue.
    pub(crate) async fn refuse(
        &self,
        config: &ReplayConfig,
        target: &Session,
        up_to: UpTo,
    ) -> Result<(), Failure> {
        let failed =
            |text: String| Failure::message(Exit::Failed, format!("nothing was done: {text}"));
        let name = self.subscriber.source_name();
        if self.has_tables(target).await? {
            let text = format!("{name} replicates tables already");
            return Err(failed(text).with_hint(
                "it comes back by itself through archive_sources, or by replay archive feed",
            ));
        }
        let provider = self.provider(config).await?;
        let now = self.epoch(config, &provider).await?;
        match up_to {
            UpTo::Tick(epoch, tick) if epoch != now => Err(failed(format!(
                "the archive ends at tick {tick} of a queue with epoch {epoch}, and that of queue {} is {now}",
                config.queue
            ))),
            UpTo::Tick(..) | UpTo::End | UpTo::Time(_) => Ok(()),
        }
    }

    /// Has the subscriber go on: capture and consumer on the provider first, each of which may be made again; then, in
    /// one transaction of the database, position and tables become the subscriber's.
    ///
    /// # Errors
    /// The provider cannot be asked, or somebody holds a lock of a table there; the same call goes on.
    pub(super) async fn take_over(
        &self,
        config: &ReplayConfig,
        session: &Session,
        (from, at): (&str, Position),
    ) -> Result<Subscribed, Failure> {
        // Before anything is done on the provider: the restore's position is not the one that this subscriber needs.
        if self.has_tables(session).await? {
            let text = format!(
                "{} has got tables while the restore lasted, and cannot go on with what is restored",
                self.subscriber.source_name()
            );
            return Err(Failure::message(Exit::Failed, text).with_hint(format!(
                "replay remove them and repeat the command; {OTHERWISE}"
            )));
        }
        let provider = self.provider(config).await;
        let provider = provider.map_err(|failure| failure.with_hint(OTHERWISE))?;
        let now = self.epoch(config, &provider).await;
        let now = now.map_err(|failure| failure.with_hint(OTHERWISE))?;
        if now != at.epoch {
            let text = format!(
                "the database is at tick {} of a queue with epoch {}, and that of queue {} is {now}",
                at.tick.id, at.epoch, config.queue
            );
            return Err(Failure::message(Exit::Failed, text).with_hint(OTHERWISE));
        }
        let queue = &config.queue;
        self.register(queue, &provider, at).await?;
        let captures = provider::captures(&*provider, Some(queue)).await?;
        let mut not_followed = Vec::new();
        let tables = self
            .capture(
                queue,
                &provider,
                (session, from),
                &captures,
                &mut not_followed,
            )
            .await?;
        let sequences = self
            .sequences(queue, &provider, session, &captures, &mut not_followed)
            .await?;
        let taker = restore::Taker {
            consumer: &self.subscriber.consumer,
            job: &config.daemon.job_name,
            tables: &tables,
            sequences: &sequences,
        };
        restore::hand_over(&**session, from, &taker).await?;
        // It is done: whoever reads the queue looks by himself each second, and comes later without the hint.
        let _ = provider::hint_tables(&*provider, queue).await;
        Ok(Subscribed {
            name: self.subscriber.source_name().to_owned(),
            not_followed,
        })
    }

    /// Whether the subscriber replicates tables in this database.
    async fn has_tables(&self, target: &Session) -> Result<bool, Failure> {
        let consumer = &self.subscriber.consumer;
        Ok(position::is_installed(&**target).await?
            && !table_state::list(&**target, consumer).await?.is_empty())
    }

    async fn provider(&self, config: &ReplayConfig) -> Result<Session, Failure> {
        let name = ApplicationName::new(Purpose::Restore, &config.daemon.job_name);
        Ok(config.provider.connect_for(&name, Schema::PROVIDER).await?)
    }

    async fn epoch(&self, config: &ReplayConfig, provider: &Session) -> Result<Epoch, Failure> {
        let epoch = provider::queue_epoch(&**provider, &config.queue).await?;
        Ok(epoch.with_context(|| format!("the provider has no queue {}", config.queue))?)
    }

    /// Registers the consumer at the database's tick; or, where the queue has given away what follows, at the newest
    /// one: the archive has what is between, and the daemon goes back as soon as it can.
    async fn register(&self, queue: &str, provider: &Session, at: Position) -> Result<(), Failure> {
        let consumer = &self.subscriber.consumer;
        let registered = consumer::register_at(&**provider, queue, consumer, at.tick.id).await;
        match registered {
            Ok(_) => return Ok(()),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let held = provider::consumer_position(&**provider, queue, consumer).await?;
        if held.is_none() {
            let registered = registered_anew(queue, consumer, provider, at).await;
            registered.map_err(|trouble| {
                let error = anyhow!(trouble.chain()).context("could not register the subscriber");
                Failure::new(Exit::Failed, error)
            })?;
        }
        Ok(())
    }

    /// Has the tables captured for the subscriber, and gives the numbers of those that it follows.
    async fn capture(
        &self,
        queue: &str,
        provider: &Session,
        (session, from): (&Session, &str),
        captures: &[Capture],
        not_followed: &mut Vec<String>,
    ) -> Result<Vec<u32>, Failure> {
        moment::prepare(provider).await?;
        let mut tables = Vec::new();
        let rows = table_state::list(&**session, from).await?;
        for one in captures {
            let is_kept = one.is_table_of(&self.archive.consumer) && !one.dropped;
            if is_kept && !rows.iter().any(|row| row.provider_oid == one.oid) {
                not_followed.push(format!(
                    "{}: the archive keeps it since after the base: replay add it",
                    one.name
                ));
            }
        }
        for row in rows {
            if row.stand != Stand::Ok {
                // What it waits for is in the archive, and the provider's queue holds nothing of it.
                not_followed.push(format!(
                    "{}: it has not taken its changes: replay add it with --truncate",
                    row.table
                ));
                continue;
            }
            let is_it = |one: &&Capture| {
                one.oid == row.provider_oid
                    && !one.dropped
                    && one.is_table_of(&self.archive.consumer)
            };
            let Some(there) = captures.iter().find(is_it) else {
                not_followed.push(format!("{}: the archive does not keep it now", row.table));
                continue;
            };
            let (consumer, own) = (&self.subscriber.consumer, WantedIdentity::Own);
            let added = moment::with_lock(async || {
                provider::add_table(&**provider, queue, consumer, &there.name, &own).await
            });
            if added.await?.is_none() {
                let text = format!("others hold locks on {} on the provider", there.name);
                return Err(Failure::message(Exit::TimedOut, text)
                    .with_hint("repeat the command: what is restored stays"));
            }
            tables.push(row.provider_oid);
        }
        Ok(tables)
    }

    /// Has the archive's sequences carried over to the subscriber.
    async fn sequences(
        &self,
        queue: &str,
        provider: &Session,
        session: &Session,
        captures: &[Capture],
        not_followed: &mut Vec<String>,
    ) -> Result<Vec<TableName>, Failure> {
        let consumer = &self.subscriber.consumer;
        // What it carries over already stays so, whether the archive has it or not.
        let own = sequence_state::list(&**session, consumer).await?;
        let mut sequences: Vec<TableName> = own.into_iter().map(|one| one.sequence).collect();
        for one in captures {
            if !one.is_sequence || one.dropped || !one.is_of(&self.archive.consumer) {
                continue;
            }
            let there = relation::find(&**session, &one.name).await?;
            let other = sequence_state::other_carrier(&**session, consumer, &one.name).await?;
            match (there.is_some_and(|there| there.is_sequence), other) {
                (false, _) => not_followed.push(format!("sequence {}: it is not there", one.name)),
                (true, Some(other)) => not_followed.push(format!(
                    "sequence {}: it follows the provider of job {other} already",
                    one.name
                )),
                (true, None) => {
                    provider::add_sequence(&**provider, queue, consumer, &one.name).await?;
                    if !sequences.contains(&one.name) {
                        sequences.push(one.name.clone());
                    }
                }
            }
        }
        Ok(sequences)
    }
}
