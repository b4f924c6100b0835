//! Adds tables of the provider that the config's `auto_add` matches, whenever such a table is made. As in `replay add`,
//! everything is checked before anything is made. A table that cannot be added is logged once, and tried again.

use std::{
    collections::HashMap,
    convert::Infallible,
    time::{Duration, Instant},
};

use admin::log::Once;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    event::mapping::Mapping,
    install::ownership::Schema,
    moment,
    name::TableName,
    provider::{self, Candidate, WantedIdentity},
    subscriber::table_state::{self, Existing, Registered},
};
use tokio_postgres::error::SqlState;
use tracing::{debug, error, info, warn};

use super::{
    choose::AutoAdd,
    fit::{self, Wish},
    merging,
};
use crate::{
    subscriber::{hold, shared::Subscription},
    trouble::Trouble,
};

/// Time between two looks at the provider's list of tables.
const LOOK: Duration = Duration::from_secs(2);

/// Time after which a table that could not be added is tried again.
const REST: Duration = Duration::from_secs(5);

/// Adds matching tables until the future is dropped; it never ends by itself. An error here stops no other task:
/// batches and copies go on.
pub(crate) async fn run(sub: &Subscription) {
    if sub.settings.auto_add.is_empty() {
        return std::future::pending().await;
    }
    let mut adding = Adding::new(&sub.settings.queue, &sub.settings.auto_add);
    loop {
        let Err(trouble) = looks(sub, &mut adding).await;
        // The loops meet the same trouble, and report it.
        debug!(consumer = %sub.consumer, error = %trouble.chain(), "auto_add waits");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks for tables again and again, until a session is lost or a query fails.
async fn looks(sub: &Subscription, adding: &mut Adding<'_>) -> Result<Infallible, Trouble> {
    let provider = sub.provider_session(Purpose::AutoAdd).await?;
    let subscriber = sub.subscriber_session(Purpose::AutoAdd).await?;
    moment::prepare(&provider).await?;
    hold::is_followed(sub, &provider, &subscriber).await?;
    let taker = Taker::Database(sub, &subscriber);
    loop {
        if adding.look(&provider, &taker).await? {
            sub.for_tables.notify_one();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// An archive that gets tables.
pub(crate) struct ArchiveTables {
    /// How the provider is reached.
    pub provider: ConnectInfo,
    /// The name of the session.
    pub name: ApplicationName,
    /// The provider's queue.
    pub queue: String,
    /// The archive's consumer.
    pub consumer: String,
    /// The tables.
    pub rule: AutoAdd,
}

impl ArchiveTables {
    /// Adds matching tables until the future is dropped; it never ends by itself.
    pub(crate) async fn run(&self) -> Infallible {
        if self.rule.is_empty() {
            return std::future::pending().await;
        }
        let mut adding = Adding::new(&self.queue, &self.rule);
        loop {
            let Err(trouble) = self.looks(&mut adding).await;
            let consumer = &self.consumer;
            debug!(%consumer, error = %trouble.chain(), "auto_add waits");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn looks(&self, adding: &mut Adding<'_>) -> Result<Infallible, Trouble> {
        let provider = self.provider.connect_for(&self.name, Schema::PROVIDER);
        let provider = provider.await.map_err(Trouble::connect("provider"))?;
        moment::prepare(&provider).await?;
        let taker = Taker::Archive(self);
        loop {
            adding.look(&provider, &taker).await?;
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Who gets the tables.
enum Taker<'a> {
    /// A subscriber's database, over this session.
    Database(&'a Subscription, &'a Session),
    /// An archive.
    Archive(&'a ArchiveTables),
}

impl Taker<'_> {
    /// The tables that it has, by their oids on the provider.
    async fn known(&self, provider: &Session) -> Result<HashMap<u32, TableName>, Trouble> {
        match self {
            Taker::Database(sub, subscriber) => {
                let rows = table_state::list(&***subscriber, &sub.consumer).await?;
                let known = rows.into_iter().map(|row| (row.provider_oid, row.table));
                Ok(known.collect())
            }
            Taker::Archive(archive) => {
                let captures = provider::captures(&**provider, Some(&archive.queue)).await?;
                let known = captures.into_iter();
                let known = known.filter(|capture| capture.is_table_of(&archive.consumer));
                Ok(known.map(|capture| (capture.oid, capture.name)).collect())
            }
        }
    }

    async fn add(&self, provider: &Session, candidate: &Candidate) -> Result<Outcome, Trouble> {
        match self {
            Taker::Database(sub, subscriber) => add(sub, provider, subscriber, candidate).await,
            Taker::Archive(archive) => match candidate.why_not() {
                Some(why) => Ok(Outcome::Refused(why)),
                None => capture(provider, &archive.queue, &archive.consumer, candidate).await,
            },
        }
    }
}

/// What was done with the tables that match.
struct Adding<'a> {
    queue: &'a str,
    rule: &'a AutoAdd,
    /// When each table was last refused, by oid, because another table may have the name by now.
    resting: HashMap<u32, Instant>,
    refused: Once<u32>,
}

impl<'a> Adding<'a> {
    fn new(queue: &'a str, rule: &'a AutoAdd) -> Adding<'a> {
        Adding {
            queue,
            rule,
            resting: HashMap::new(),
            refused: Once::default(),
        }
    }

    /// Looks for tables that match and are not known, and adds them; false if there are none.
    async fn look(&mut self, provider: &Session, taker: &Taker<'_>) -> Result<bool, Trouble> {
        let there = provider::tables(&**provider).await?;
        let known = taker.known(provider).await?;
        let new: Vec<u32> = there
            .into_iter()
            .filter(|(oid, table)| !known.contains_key(oid) && self.rule.takes(table))
            .map(|(oid, _)| oid)
            .collect();
        self.resting.retain(|oid, _| new.contains(oid));
        self.refused.only(|oid| new.contains(oid));
        let rests = |since: &Instant| since.elapsed() < REST;
        if new
            .iter()
            .all(|oid| self.resting.get(oid).is_some_and(rests))
        {
            return Ok(false);
        }
        // Finding out how a table can be captured is costly, so it is asked only if a table is missing.
        let candidates =
            provider::candidates(&**provider, self.queue, &WantedIdentity::Own).await?;
        for candidate in candidates {
            if !new.contains(&candidate.oid) || self.resting.get(&candidate.oid).is_some_and(rests)
            {
                continue;
            }
            let outcome = if known.values().any(|table| *table == candidate.table) {
                Outcome::Refused("another table was replicated under that name: remove it".into())
            } else {
                taker.add(provider, &candidate).await?
            };
            self.note(&candidate, outcome);
        }
        Ok(true)
    }

    fn note(&mut self, candidate: &Candidate, outcome: Outcome) {
        let table = &candidate.table;
        let why = match outcome {
            Outcome::Added => return info!(%table, "table added"),
            Outcome::Busy => return debug!(%table, "auto_add waits for a table's lock"),
            Outcome::Refused(why) => why,
        };
        if self.refused.say(candidate.oid, &why) {
            error!(
                %table,
                error = %why,
                advice = "or leave it out: \"!SCHEMA.TABLE\" in auto_add, and reload",
                "auto_add cannot add a table"
            );
        }
        self.resting.insert(candidate.oid, Instant::now());
    }
}

/// The result for a table.
enum Outcome {
    Added,
    /// Other sessions hold locks on the table. The next look tries again; no session queues behind us meanwhile.
    Busy,
    /// Why the table cannot be added.
    Refused(String),
}

/// Adds a table.
async fn add(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
    candidate: &Candidate,
) -> Result<Outcome, Trouble> {
    let table = &candidate.table;
    if let Some(why) = candidate.why_not() {
        return Ok(Outcome::Refused(why));
    }
    let columns = provider::captured_columns(&**provider, candidate).await?;
    let mapping = Mapping::default();
    let wish = Wish {
        candidate,
        captured: &columns,
        mapping: &mapping,
        existing: Existing::Refuse,
        session_role: sub.settings.session_role,
    };
    let fits = fit::refusal(subscriber, &sub.consumer, "the subscriber", &wish);
    if let Some(why) = fits.await.map_err(could_not_look(table))? {
        return Ok(Outcome::Refused(why));
    }
    if let Some(why) = types_refusal(provider, subscriber, &wish).await? {
        return Ok(Outcome::Refused(why));
    }
    let (queue, consumer) = (&sub.settings.queue, &sub.consumer);
    match capture(provider, queue, consumer, candidate).await? {
        Outcome::Added => {}
        other @ (Outcome::Busy | Outcome::Refused(_)) => return Ok(other),
    }
    let registered = table_state::register(
        &**subscriber,
        &sub.consumer,
        table,
        candidate.oid,
        Existing::Refuse,
        &mapping,
    )
    .await?;
    match registered {
        Registered::Done | Registered::Already => Ok(Outcome::Added),
        Registered::TargetTaken(other) => {
            // Another session has added the table meanwhile.
            let oid = Some(candidate.oid);
            provider::remove_table(&**provider, queue, consumer, table, oid).await?;
            let target = mapping.target_of(table);
            let why = merging::target_is_taken(target, "the subscriber", &mapping, &other);
            Ok(Outcome::Refused(why))
        }
    }
}

/// Captures a table for a consumer.
async fn capture(
    provider: &Session,
    queue: &str,
    consumer: &str,
    candidate: &Candidate,
) -> Result<Outcome, Trouble> {
    let (table, identity) = (&candidate.table, WantedIdentity::Own);
    let made = provider::add_table(&**provider, queue, consumer, table, &identity).await;
    let Err(error) = made else {
        return Ok(Outcome::Added);
    };
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return Ok(Outcome::Busy);
    }
    if provider.is_closed() {
        return Err(error.into());
    }
    Ok(Outcome::Refused(fit::not_captured(&error)))
}

fn could_not_look(table: &TableName) -> impl FnOnce(anyhow::Error) -> Trouble {
    let doing = format!("could not look at {table} on the subscriber");
    move |source| Trouble::passing(doing, source)
}

/// Why no value of a column fits the subscriber's column; values that may not fit are logged.
async fn types_refusal(
    provider: &Session,
    subscriber: &Session,
    wish: &Wish<'_>,
) -> Result<Option<String>, Trouble> {
    let table = &wish.candidate.table;
    let types = provider::captured_types(&**provider, wish.candidate).await?;
    let differing = fit::types(subscriber, "the subscriber", wish, &types)
        .await
        .map_err(could_not_look(table))?;
    for warning in &differing.warnings {
        warn!(%table, %warning, "types differ");
    }
    Ok(differing.refusal)
}
