//! `trunkline consumer`: lists, registers, removes and moves consumers. Changes consumers through schema pgq's
//! functions only.

use std::str::FromStr;

use admin::cli::{CommonArgs, say};
use admin::config::AnyConfig;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::status::{self, ConsumerStatus};
use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use sql::near;
use sql::provider::Capture;
use sql::queue::tick::{self, TickAt, TickId};
use tokio_postgres::Transaction;

use crate::capture::{self, CaptureEnd};
use crate::places::{self, Located, PlaceArgs};

/// What is done with consumers.
#[derive(Debug, Subcommand)]
pub(crate) enum ConsumerCommand {
    /// One line a consumer: how far behind it is, and when it was seen last
    ///
    /// Lag is the age of the last tick that it finished; Pending are the events after that tick, up to the queue's
    /// last one. Exit code 1 if some database could not be asked.
    List {
        /// Of this queue only
        queue: Option<String>,
        /// As JSON: an array
        #[arg(long)]
        json: bool,
    },
    /// Register a consumer at the queue's last tick
    Register {
        /// The queue
        queue: String,
        /// The consumer's name
        consumer: String,
        /// Begin after this tick: a number, `first` (the oldest after which no event is gone), or `last`
        #[arg(long, value_name = "TICK")]
        at: Option<Tick>,
    },
    /// Remove a consumer: events that only it waited for are given up
    ///
    /// Of a replay's consumer, tables stay captured for it, and its helpers (NAME#...) stay registered: with --force
    /// they go, too. That is for a subscriber that is gone for good; `replay remove --all` is for one that is there.
    Unregister {
        /// The queue
        queue: String,
        /// The consumer's name; with --force it may be one that is removed already
        consumer: String,
        /// Also end what is captured for it, and remove its helpers
        #[arg(long)]
        force: bool,
    },
    /// Move a consumer: what comes next is what follows this tick; an open batch is dropped
    ///
    /// Refused where events after the tick are gone. Forward, events are skipped; back, they come again.
    Move {
        /// The queue
        queue: String,
        /// The consumer's name
        consumer: String,
        /// A tick's number, `first` (the oldest after which no event is gone), or `last`
        tick: Tick,
    },
}

/// A tick as the command line names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick(TickAt);

impl FromStr for Tick {
    type Err = String;

    fn from_str(text: &str) -> Result<Tick, String> {
        match text {
            "first" => Ok(Tick(TickAt::First)),
            "last" => Ok(Tick(TickAt::Last)),
            _ => text
                .parse()
                .map(|id| Tick(TickAt::Id(TickId(id))))
                .map_err(|_| "a tick is a number, `first` or `last`".to_owned()),
        }
    }
}

/// A consumer, its queue and its database.
#[derive(Serialize)]
pub(crate) struct ConsumerRow<'a> {
    pub(crate) database: &'a str,
    pub(crate) queue: &'a str,
    #[serde(flatten)]
    pub(crate) consumer: &'a ConsumerStatus,
}

pub(crate) const HEADER: [&str; 8] = [
    "Database", "Queue", "Consumer", "Lag", "LastSeen", "Pending", "LastTick", "Batch",
];

pub(crate) fn cells(row: &ConsumerRow<'_>) -> Vec<String> {
    let consumer = row.consumer;
    vec![
        output::word(row.database),
        output::word(row.queue),
        output::word(&consumer.name),
        consumer.lag_seconds.map_or("-".into(), output::seconds),
        output::seconds(consumer.last_seen_seconds),
        output::or_none(consumer.pending_events),
        output::or_none(consumer.last_tick),
        output::or_none(consumer.batch),
    ]
}

/// Runs the command.
pub(crate) async fn run(
    command: &ConsumerCommand,
    place: &PlaceArgs,
    configs: &[AnyConfig],
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    match command {
        ConsumerCommand::List { queue, json } => {
            list(configs, place, queue.as_deref(), *json).await
        }
        ConsumerCommand::Register {
            queue,
            consumer,
            at,
        } => {
            let place = places::with_queue(configs, place, queue).await?;
            register(place, queue, consumer, *at, common).await
        }
        ConsumerCommand::Unregister {
            queue,
            consumer,
            force,
        } => {
            let place = places::with_queue(configs, place, queue).await?;
            unregister(&place, queue, consumer, *force, common).await
        }
        ConsumerCommand::Move {
            queue,
            consumer,
            tick,
        } => {
            let place = places::with_queue(configs, place, queue).await?;
            move_to(place, queue, consumer, *tick, common).await
        }
    }
}

async fn list(
    configs: &[AnyConfig],
    args: &PlaceArgs,
    only: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let (places, failures) = places::all(configs, args).await;
    let mut found = Vec::new();
    for place in &places {
        let mut queues = status::queues(&place.session).await?;
        queues.retain(|queue| only.is_none_or(|name| name == queue.name));
        found.push((place.name.as_str(), queues));
    }
    if let Some(name) = only
        && failures.is_empty()
        && found.iter().all(|(_, queues)| queues.is_empty())
    {
        let text = format!("there is no queue {name}");
        return Err(Failure::message(Exit::Failed, text));
    }
    let mut rows = Vec::new();
    for (database, queues) in &found {
        for queue in queues {
            rows.extend(queue.consumer_list.iter().map(|consumer| ConsumerRow {
                database,
                queue: &queue.name,
                consumer,
            }));
        }
    }
    if json {
        output::print_json(&rows)?;
    } else {
        let cells: Vec<_> = rows.iter().map(cells).collect();
        output::print(&output::listing(&HEADER, &cells))?;
    }
    Ok(places::exit_of(&places, &failures))
}

async fn register(
    mut place: Located,
    queue: &str,
    consumer: &str,
    at: Option<Tick>,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let transaction = place.session.transaction().await.context("begin")?;
    let old = sql::queue::consumer::find(&transaction, queue, consumer).await;
    if let Some(old) = old.map_err(anyhow::Error::from)? {
        let stands = output::or_none(old.last_tick.map(|tick| tick.0));
        let text =
            format!("consumer {consumer} of queue {queue} is registered already, at tick {stands}");
        if at.is_none() {
            say(common, &format!("{}: {text}", place.name))?;
            return Ok(Exit::Done);
        }
        let failure = Failure::message(Exit::Failed, text);
        return Err(failure.with_hint("`trunkline consumer move` takes it to another tick"));
    }
    let Tick(at) = at.unwrap_or(Tick(TickAt::Last));
    let to = resolve(&transaction, queue, at).await?;
    let made = sql::queue::consumer::register_at(&transaction, queue, consumer, to).await;
    made.map_err(anyhow::Error::from)?;
    transaction.commit().await.context("commit")?;
    let text = format!("consumer {consumer} of queue {queue} registered at tick {to}");
    say(common, &format!("{}: {text}", place.name))?;
    Ok(Exit::Done)
}

async fn unregister(
    place: &Located,
    queue: &str,
    consumer: &str,
    force: bool,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let known = if force {
        end(place, queue, consumer, common).await?
    } else {
        remove(place, queue, consumer, common).await?
    };
    if !known {
        return Err(no_consumer(place, queue, consumer).await);
    }
    let captures = captured_for(place, queue, consumer).await?;
    let helpers = helpers(place, queue, consumer).await?;
    if !captures.is_empty() || !helpers.is_empty() {
        eprintln!(
            "warning: {} tables and sequences are still captured for {consumer}, and {} of its helpers still hold the \
             queue; trunkline consumer unregister --force ends both",
            captures.len(),
            helpers.len()
        );
    }
    Ok(Exit::Done)
}

/// Removes a consumer and its helpers, and ends what is captured for it; false: there was nothing of it.
pub(crate) async fn end(
    place: &Located,
    queue: &str,
    consumer: &str,
    common: &CommonArgs,
) -> Result<bool, Failure> {
    let captures = captured_for(place, queue, consumer).await?;
    let mut known = remove(place, queue, consumer, common).await?;
    for helper in helpers(place, queue, consumer).await? {
        known |= remove(place, queue, &helper, common).await?;
    }
    let wanted = CaptureEnd {
        consumer: Some(consumer),
        registered: true,
    };
    capture::end(place, &captures, wanted, common).await?;
    Ok(known || !captures.is_empty())
}

async fn captured_for(
    place: &Located,
    queue: &str,
    consumer: &str,
) -> Result<Vec<Capture>, Failure> {
    let mut captures = capture::left_in(place, queue).await?;
    captures.retain(|capture| capture.consumers.iter().any(|of| of.consumer == consumer));
    Ok(captures)
}

/// Removes a consumer; false: the consumer did not exist.
async fn remove(
    place: &Located,
    queue: &str,
    consumer: &str,
    common: &CommonArgs,
) -> Result<bool, Failure> {
    let removed = sql::queue::consumer::unregister(&*place.session, queue, consumer).await;
    let removed = removed.map_err(anyhow::Error::from)?;
    if removed {
        let text = format!("consumer {consumer} of queue {queue} removed");
        say(common, &format!("{}: {text}", place.name))?;
    }
    Ok(removed)
}

/// The consumers that hold the queue for a replay's tables that are copied or parked.
async fn helpers(place: &Located, queue: &str, consumer: &str) -> Result<Vec<String>, Failure> {
    let queues = status::queues(&place.session).await?;
    let of_queue = queues.into_iter().filter(|one| one.name == queue);
    let begin = format!("{consumer}#");
    Ok(of_queue
        .flat_map(|one| one.consumer_list)
        .map(|one| one.name)
        .filter(|name| name.starts_with(&begin))
        .collect())
}

async fn move_to(
    mut place: Located,
    queue: &str,
    consumer: &str,
    Tick(at): Tick,
    common: &CommonArgs,
) -> Result<Exit, Failure> {
    let transaction = place.session.transaction().await.context("begin")?;
    let old = sql::queue::consumer::find(&transaction, queue, consumer).await;
    let Some(old) = old.map_err(anyhow::Error::from)? else {
        transaction.rollback().await.context("rollback")?;
        return Err(no_consumer(&place, queue, consumer).await);
    };
    let to = resolve(&transaction, queue, at).await?;
    let moved = sql::queue::consumer::register_at(&transaction, queue, consumer, to).await;
    moved.map_err(anyhow::Error::from)?;
    let events = match old.last_tick {
        None => None,
        Some(from) => tick::events_between(&transaction, queue, from, to)
            .await
            .map_err(anyhow::Error::from)?,
    };
    transaction.commit().await.context("commit")?;
    let from = output::or_none(old.last_tick.map(|tick| tick.0));
    let effect = match events {
        Some(skipped @ 1..) => format!(", {skipped} events skipped"),
        Some(again @ ..=-1) => format!(", {} events come again", again.unsigned_abs()),
        Some(0) | None => String::new(),
    };
    let text =
        format!("consumer {consumer} of queue {queue} moved from tick {from} to {to}{effect}");
    say(common, &format!("{}: {text}", place.name))?;
    Ok(Exit::Done)
}

async fn resolve(
    transaction: &Transaction<'_>,
    queue: &str,
    at: TickAt,
) -> Result<TickId, Failure> {
    let found = tick::find(transaction, queue, at).await;
    if let Some(tick) = found.map_err(anyhow::Error::from)? {
        return Ok(tick);
    }
    let text = match at {
        TickAt::Id(tick) => format!("queue {queue} has no tick {tick}"),
        TickAt::First | TickAt::Last => format!("queue {queue} has no tick to begin at"),
    };
    let first = tick::find(transaction, queue, TickAt::First).await;
    let last = tick::find(transaction, queue, TickAt::Last).await;
    let failure = Failure::message(Exit::Failed, text);
    Err(match (first, last) {
        (Ok(Some(first)), Ok(Some(last))) => failure.with_hint(format!(
            "ticks from {first} to {last} can be gone to; numbers in between may be missing"
        )),
        _ => failure.with_hint("is the ticker running?"),
    })
}

async fn no_consumer(place: &Located, queue: &str, consumer: &str) -> Failure {
    // If the list cannot be read, only the suggestion is missing.
    let consumers = sql::queue::consumer::list(&*place.session)
        .await
        .unwrap_or_default();
    let of_queue = consumers.iter().filter(|one| one.queue == queue);
    let near = near::name(consumer, of_queue.map(|one| one.name.as_str()));
    let text = format!(
        "queue {queue} has no consumer {consumer}{}",
        near::did_you_mean(near)
    );
    Failure::message(Exit::Failed, text)
}
