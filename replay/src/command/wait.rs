//! `replay wait`: waits until all tables are ok, and until everything is applied that was committed on the provider
//! before the call.

use std::time::{Duration, Instant};

use admin::{
    config::{ArchiveConfig, SubscriberConfig},
    exit::{Exit, Failure},
    log::Once,
    status::{self, Asking, PATIENCE, verdict::ReasonKind},
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    name::TableName,
    provider,
    queue::tick::{Epoch, TickId},
    subscriber::{
        position::{self, Position},
        table_state::{self, Why},
    },
};

use super::{Job, label, stored};

const LOOK: Duration = Duration::from_millis(100);

/// Time between two requests to publish.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A wait that takes longer than this says why, and says what is new as often.
const EXPLAIN: Duration = Duration::from_secs(3);

/// A wait and its reasons, each reason said once.
struct Waiting<'a> {
    job: &'a Job,
    deadline: Option<Instant>,
    next: Instant,
    said: Once<(ReasonKind, String)>,
}

impl<'a> Waiting<'a> {
    fn new(job: &'a Job, limit: Option<Duration>) -> Waiting<'a> {
        let now = Instant::now();
        Waiting {
            job,
            deadline: limit.map(|limit| now + limit),
            next: now + EXPLAIN,
            said: Once::default(),
        }
    }

    /// Rests until the next look; false if the time is up.
    async fn rest(&mut self) -> bool {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return false;
        }
        if now >= self.next {
            self.explain().await;
            self.next = Instant::now() + EXPLAIN;
        }
        tokio::time::sleep(LOOK).await;
        true
    }

    async fn explain(&mut self) {
        // The question must not take longer than the wait's own time limit.
        let left = self
            .deadline
            .map(|deadline| deadline - Instant::now().min(deadline));
        let patience = left.map_or(PATIENCE, |left| left.min(PATIENCE));
        let status = status::of_replay(&self.job.config, &Asking::within(patience)).await;
        for reason in status.reasons() {
            // Lag, copies and conflicts are left out, since their end is what the wait is for; and so is a fence, since
            // what was written before it is applied all the same.
            let expected = matches!(
                reason.kind,
                ReasonKind::Lag | ReasonKind::Copying | ReasonKind::Conflicts | ReasonKind::Fence
            );
            let key = (reason.kind, reason.subject.clone());
            if !expected && self.said.say(key, "") {
                let advice = reason.advice.iter().map(|text| format!(" ({text})"));
                eprintln!(
                    "waiting: {}{}",
                    reason.sentence(),
                    advice.collect::<String>()
                );
            }
        }
    }
}

/// Reads the argument of `--wait`. None: do not wait; a limit of none: wait for ever.
pub(super) fn limit(wait: Option<&str>) -> Result<Option<Option<Duration>>, Failure> {
    match wait {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(text) => text
            .parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|limit| Some(Some(limit)))
            .ok_or_else(|| {
                Failure::message(
                    Exit::Usage,
                    format!("--wait {text}: not a number of seconds"),
                )
            }),
    }
}

/// Runs the command.
pub(crate) async fn run(job: &Job, limit: Option<Duration>) -> Result<Exit, Failure> {
    let mut waiting = Waiting::new(job, limit);
    let provider = job.provider().await?;
    let Some((epoch, tick)) = tick_of_now(job, &provider, &mut waiting).await? else {
        return Ok(Exit::TimedOut);
    };
    let takers = job.takers(None)?;
    for one in takers.subscribers {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        let wanted = Aim::AllAt(epoch, tick);
        if !applied(&subscriber, one, &wanted, &mut waiting).await? {
            return Ok(Exit::TimedOut);
        }
    }
    for one in takers.archives {
        if !is_archived(job, &provider, one, tick, &mut waiting).await? {
            return Ok(Exit::TimedOut);
        }
    }
    Ok(Exit::Done)
}

/// Waits until everything is in an archive, and on its disk, that was committed on the provider before the call.
pub(super) async fn archived(
    job: &Job,
    one: &ArchiveConfig,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut waiting = Waiting::new(job, limit);
    let provider = job.provider().await?;
    let Some((_, tick)) = tick_of_now(job, &provider, &mut waiting).await? else {
        return Ok(Exit::TimedOut);
    };
    Ok(
        match is_archived(job, &provider, one, tick, &mut waiting).await? {
            true => Exit::Done,
            false => Exit::TimedOut,
        },
    )
}

/// Waits for an archive; false if the time was up, and then it was said what is missing. The queue is told only what is
/// on the disk, so the consumer's place says it.
async fn is_archived(
    job: &Job,
    provider: &Session,
    one: &ArchiveConfig,
    tick: TickId,
    waiting: &mut Waiting<'_>,
) -> Result<bool, Failure> {
    let mut asked: Option<Instant> = None;
    loop {
        let held = provider::consumer_position(&**provider, job.queue(), &one.consumer).await?;
        let Some(held) = held else {
            let text = format!(
                "the provider has no consumer {}, or has detached it",
                one.consumer
            );
            return Err(Failure::message(Exit::Failed, text).with_hint("see replay archive check"));
        };
        if held.tick.id >= tick {
            return Ok(true);
        }
        // The daemon may have looked before the tick was there.
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            provider::hint_tables(&**provider, job.queue()).await?;
            asked = Some(Instant::now());
        }
        if !waiting.rest().await {
            eprintln!(
                "archive {}: at tick {}, tick {tick} is wanted",
                one.name, held.tick.id
            );
            return Ok(false);
        }
    }
}

/// A tick that shows what was committed before the call, with its queue; None: the time was up, which was said.
async fn tick_of_now(
    job: &Job,
    provider: &Session,
    waiting: &mut Waiting<'_>,
) -> Result<Option<(Epoch, TickId)>, Failure> {
    let epoch = provider::queue_epoch(&**provider, job.queue()).await?;
    let epoch = epoch.context("the provider's queue is gone")?;
    let snapshot = provider::current_snapshot(&**provider).await?;
    // A quiet queue ticks once a minute, so a tick is asked for now.
    sql::queue::tick::force(&**provider, job.queue())
        .await
        .context("could not ask for a tick")?;
    loop {
        let tick = provider::tick_containing(&**provider, job.queue(), &snapshot).await?;
        if let Some(tick) = tick {
            return Ok(Some((epoch, tick)));
        }
        if !waiting.rest().await {
            eprintln!("no tick yet shows what was committed before the call: does the ticker run?");
            return Ok(None);
        }
    }
}

/// Waits until some tables of one or all subscribers are ok, if `--wait` was given, which [`limit`] has read.
pub(crate) async fn if_asked(
    job: &Job,
    subscriber: Option<&str>,
    tables: &[TableName],
    patience: Option<Option<Duration>>,
) -> Result<Exit, Failure> {
    let Some(limit) = patience else {
        return Ok(Exit::Done);
    };
    let mut waiting = Waiting::new(job, limit);
    // A table is in an archive as soon as it is captured.
    for one in job.takers(subscriber)?.subscribers {
        let session = job.subscriber(one).await?;
        let wanted = Aim::Tables(tables);
        if !applied(&session, one, &wanted, &mut waiting).await? {
            return Ok(Exit::TimedOut);
        }
    }
    Ok(Exit::Done)
}

/// The aim of a wait.
enum Aim<'a> {
    /// These tables are ok.
    Tables(&'a [TableName]),
    /// All tables are ok, and the events that the tick of this queue shows are applied.
    AllAt(Epoch, TickId),
}

impl Aim<'_> {
    fn is_table(&self, table: &TableName) -> bool {
        match self {
            Aim::Tables(tables) => tables.contains(table),
            Aim::AllAt(..) => true,
        }
    }

    /// Whether a position is in another queue than the wanted tick.
    fn is_elsewhere(&self, position: Position) -> bool {
        matches!(self, Aim::AllAt(epoch, _) if *epoch != position.epoch)
    }

    /// The tick that a position is short of; None: the position is far enough.
    fn short_of(&self, position: Option<Position>) -> Option<TickId> {
        match self {
            Aim::Tables(_) => None,
            // A subscriber that has yet to move to the provider's queue stands at a tick of another one.
            Aim::AllAt(_, tick) => {
                let there = position.filter(|there| !self.is_elsewhere(*there));
                (there.map(|there| there.tick.id) < Some(*tick)).then_some(*tick)
            }
        }
    }
}

/// Waits for a subscriber; false if the time was up, and then it was said what is missing.
async fn applied(
    subscriber: &Session,
    one: &SubscriberConfig,
    wanted: &Aim<'_>,
    waiting: &mut Waiting<'_>,
) -> Result<bool, Failure> {
    loop {
        let (stored, mut unfinished) = futures::try_join!(
            position::find(&**subscriber, &one.consumer),
            table_state::unfinished(&**subscriber, &one.consumer, &table_state::UNFINISHED),
        )
        .with_context(|| format!("could not ask {}", label(one)))?;
        unfinished.retain(|row| wanted.is_table(&row.table));
        let there = stored.map(|stored| stored.position);
        let short_of = wanted.short_of(there);
        if short_of.is_none() && unfinished.is_empty() {
            return Ok(true);
        }
        if !waiting.rest().await {
            for row in unfinished {
                let why = row.stand.why().map_or("not yet", Why::with_rows);
                let state = row.stand.state();
                eprintln!("{}: {} is {state}: {why}", label(one), row.table);
            }
            if let Some(tick) = short_of {
                let at = match there {
                    None => "no tick".into(),
                    Some(at) if wanted.is_elsewhere(at) => {
                        format!("tick {} of another provider's queue", at.tick.id)
                    }
                    Some(at) => format!("tick {}", at.tick.id),
                };
                eprintln!("{}: at {at}, tick {tick} is wanted", label(one));
            }
            return Ok(false);
        }
    }
}
