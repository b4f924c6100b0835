//! `replay adopt`: accepts a provider or a subscriber that was restored. The command says what it will do, then asks.
//! What a subscriber can mend by itself is left to the subscriber.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
    terminal,
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    provider::{self, BatchFinder, Want},
    queue::{self, consumer},
    subscriber::{
        position::{self, Position},
        table_state,
    },
};

use super::{Job, label, stored};
use crate::queue::track::{self, OffTrack, ProviderView};

/// The arguments of `adopt`.
#[derive(Debug, clap::Args)]
pub(crate) struct AdoptArgs {
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// One subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
}

/// How a subscriber's position compares with the provider's queue.
#[derive(Debug)]
enum Finding {
    /// The subscriber can go on from its position.
    OnTrack,
    /// The queue still has the events after the position, but no consumer holds them.
    NotHeld,
    /// The subscriber cannot go on from its position.
    Off(String, Option<OffTrack>),
}

struct Examined<'a> {
    one: &'a SubscriberConfig,
    session: Session,
    tables: usize,
    stands: Position,
    finding: Finding,
}

/// Runs the command. Each step is safe to repeat: the next run finishes a run that was broken off.
pub(crate) async fn run(job: &Job, args: &AdoptArgs) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let mut found = Vec::new();
    for one in job.subscribers(args.subscriber.as_deref())? {
        found.push(look(job, &provider, one).await?);
    }
    let adopts_queue = found.iter().any(
        |one| matches!(&one.finding, Finding::Off(_, Some(off)) if off.is_of_a_restored_queue()),
    );
    let mut todo = Vec::new();
    for one in found {
        say_plan(job, &one, adopts_queue)?;
        let on_track = matches!(one.finding, Finding::OnTrack);
        if !on_track || adopts_queue {
            todo.push(one);
        }
    }
    if todo.is_empty() {
        return Ok(Exit::Done);
    }
    if adopts_queue {
        job.say(&format!(
            "the provider went back in time: queue {} gets a new identity, so that no number \
             means two things; other jobs that replicate from it must be adopted and copied too",
            job.queue()
        ))?;
    }
    if !args.yes && !agreed()? {
        return Err(Failure::message(
            Exit::Failed,
            "nothing was changed: not agreed to",
        ));
    }
    if adopts_queue {
        queue::adopt(&*provider, job.queue())
            .await
            .context("could not adopt the queue")?;
    }
    for one in &todo {
        match one.finding {
            Finding::NotHeld if !adopts_queue => hold(job, &provider, one).await?,
            Finding::NotHeld | Finding::OnTrack | Finding::Off(..) => {
                start_anew(job, &provider, one).await?;
            }
        }
    }
    provider::hint_tables(&*provider, job.queue()).await?;
    Ok(Exit::Done)
}

async fn look<'a>(
    job: &Job,
    provider: &Session,
    one: &'a SubscriberConfig,
) -> Result<Examined<'a>, Failure> {
    let session = job.subscriber(one).await?;
    let stands = stored(&session, one).await?.position;
    let tables = table_state::list(&*session, &one.consumer)
        .await
        .with_context(|| format!("could not read the tables of {}", label(one)))?
        .len();
    Ok(Examined {
        finding: finding(job, provider, one, stands).await?,
        one,
        session,
        tables,
        stands,
    })
}

async fn finding(
    job: &Job,
    provider: &Session,
    one: &SubscriberConfig,
    stands: Position,
) -> Result<Finding, Failure> {
    let there = queue::exists(&**provider, job.queue())
        .await
        .context("could not ask the provider for the queue")?;
    if !there {
        return Err(Failure::message(
            Exit::Failed,
            format!("the provider has no queue {}", job.queue()),
        )
        .with_hint("run: replay install"));
    }
    let next = BatchFinder::prepare(&**provider)
        .await?
        .after(&**provider, job.queue(), stands.tick.id, &Want::default())
        .await?;
    let seen = ProviderView {
        epoch: next.epoch,
        tag_at_position: next.tag_at_position,
        last_tick: next.last_tick,
    };
    if let Err(off) = track::check(stands, seen) {
        return Ok(Finding::Off(off.to_string(), Some(off)));
    }
    let registered = provider::consumer_position(&**provider, job.queue(), &one.consumer).await?;
    Ok(match registered {
        Some(at) if at.tick.id <= stands.tick.id => Finding::OnTrack,
        Some(_) | None => Finding::NotHeld,
    })
}

fn say_plan(job: &Job, found: &Examined<'_>, adopts_queue: bool) -> Result<(), Failure> {
    let (name, tick) = (label(found.one), found.stands.tick.id);
    let copies = format!(
        "its {} tables are copied again, emptied first",
        found.tables
    );
    job.say(&match &found.finding {
        Finding::OnTrack if adopts_queue => {
            format!("{name}: stands at tick {tick} and could go on, but shares the queue: {copies}")
        }
        Finding::OnTrack => format!("{name}: stands at tick {tick} and goes on: nothing to adopt"),
        Finding::NotHeld if adopts_queue => format!("{name}: stands at tick {tick}: {copies}"),
        Finding::NotHeld => format!(
            "{name}: stands at tick {tick}, and the queue still has what follows: the consumer \
             is put back there"
        ),
        Finding::Off(why, _) => format!("{name}: {why}: {copies}"),
    })
}

/// Asks the person at the terminal.
/// Asks the person at the terminal.
pub(super) fn agreed() -> Result<bool, Failure> {
    if !terminal::can_ask() {
        return Err(Failure::message(
            Exit::Usage,
            "nothing was changed: standard input is no terminal, so nobody can agree",
        )
        .with_hint("if that is what you want, say --yes"));
    }
    Ok(terminal::agreed("Do it?").context("could not ask")?)
}

/// Puts the consumer back to the position of its subscriber.
async fn hold(job: &Job, provider: &Session, found: &Examined<'_>) -> Result<(), Failure> {
    let (consumer, tick) = (&found.one.consumer, found.stands.tick.id);
    consumer::register_at(&**provider, job.queue(), consumer, tick)
        .await
        .with_context(|| format!("could not put consumer {consumer} back to tick {tick}"))?;
    job.say(&format!("{}: goes on from tick {tick}", label(found.one)))
}

/// Registers the consumer at the queue's newest tick, then moves its subscriber there.
async fn start_anew(job: &Job, provider: &Session, found: &Examined<'_>) -> Result<(), Failure> {
    let consumer = &found.one.consumer;
    consumer::unregister(&**provider, job.queue(), consumer)
        .await
        .context("could not unregister the consumer")?;
    consumer::register(&**provider, job.queue(), consumer)
        .await
        .context("could not register the consumer")?;
    let at = provider::consumer_position(&**provider, job.queue(), consumer)
        .await?
        .context("the provider lost the consumer at once")?;
    let tables = position::start_anew(&*found.session, consumer, at).await?;
    job.say(&format!(
        "{}: starts anew at tick {}, {tables} tables are copied again",
        label(found.one),
        at.tick.id
    ))
}
