//! `replay archive feed`: brings a subscriber's database up by the files of an archive, without the provider.

use admin::{
    config::{ArchiveConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    daemon_lock::DaemonLock,
    install::ownership::Schema,
    queue::tick::TickId,
};

use crate::{
    command::{Job, label, stored},
    files::{
        apply::{self, Database, Reached},
        batches::{Files, UpTo},
        trail::{Ahead, NotThere},
    },
    frames::place::Time,
};

/// The arguments of `archive feed`.
#[derive(Debug, clap::Args)]
pub(super) struct FeedArgs {
    /// The subscriber whose database is brought up, where the config has several
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    /// The last tick, by its number or by a time of the provider's clock (UTC): all that is there, by default
    #[arg(long, value_name = "TICK|TIME", value_parser = up_to)]
    to: Option<UpTo>,
}

/// Reads a tick's number, or a time.
fn up_to(text: &str) -> Result<UpTo, String> {
    if let Ok(number) = text.parse() {
        return Ok(UpTo::Tick(TickId(number)));
    }
    match Time::read(text) {
        Some(time) => Ok(UpTo::Time(time)),
        None => Err("a tick's number, or a time like 2026-11-28T02:07:11Z".into()),
    }
}

/// Runs the command.
pub(super) async fn run(job: &Job, one: &ArchiveConfig, args: &FeedArgs) -> Result<Exit, Failure> {
    let into = database(job, args.into.as_deref())?;
    let (admin, session) = (
        session(job, &into.db, Purpose::Admin).await?,
        session(job, &into.db, Purpose::Apply).await?,
    );
    let consumer = &into.consumer;
    let lock = DaemonLock::Replay { consumer };
    if !lock.take(&*admin).await? {
        let text = format!(
            "nothing was done: the daemon, or another call of this command, works on {}",
            label(into)
        );
        return Err(Failure::message(Exit::Running, text).with_hint("run first: replay stop"));
    }
    let stored = stored(&admin, into).await?;
    job.is_of_queue(into, &stored)?;
    if stored.rests() {
        let text = format!("nothing was done: {} is paused", label(into));
        return Err(Failure::message(Exit::Failed, text).with_hint("run first: replay resume"));
    }
    let from = stored.position;
    let found = Files::open(&one.directory, job.queue(), from)
        .with_context(|| format!("nothing was done: archive {} cannot be read", one.name))?;
    let mut files = found.map_err(|absent: NotThere| not_there(one, into, &absent))?;
    let database = Database {
        session,
        consumer,
        on_conflict: job.config.on_conflict,
        session_role: job.config.session_role,
        chunk_bytes: usize::try_from(job.config.chunk_size).unwrap_or(usize::MAX),
        max_events: i64::try_from(job.config.max_batch_events).unwrap_or(i64::MAX),
        beside: false,
    };
    let up_to = args.to.unwrap_or(UpTo::End);
    let (mut rows, mut tick) = (0, from.tick.id);
    let ended = apply::apply(&mut files, database, up_to, None, |batch, done| {
        (rows, tick) = (done.rows, batch.to.tick.id);
    });
    let reached = ended.await.with_context(|| {
        format!(
            "{} is at tick {tick}, {rows} rows were written",
            label(into)
        )
    })?;
    tell(job, one, into, up_to, &reached)
}

/// The database that is meant.
fn database<'a>(job: &'a Job, name: Option<&str>) -> Result<&'a SubscriberConfig, Failure> {
    match job.subscribers(name)?[..] {
        [one] => Ok(one),
        ref several => Err(Failure::message(
            Exit::Usage,
            format!(
                "{} has {} databases: say which, by --into",
                job.config.daemon.config_file.display(),
                several.len()
            ),
        )),
    }
}

async fn session(job: &Job, db: &ConnectInfo, purpose: Purpose) -> Result<Session, Failure> {
    let name = ApplicationName::new(purpose, job.name());
    Ok(db.connect_for(&name, Schema::SUBSCRIBER).await?)
}

fn not_there(one: &ArchiveConfig, into: &SubscriberConfig, absent: &NotThere) -> Failure {
    let text = format!(
        "nothing was done: archive {} has not got what follows the position of {}: {absent}",
        one.name,
        label(into)
    );
    Failure::message(Exit::Failed, text).with_hint(
        "another archive may have it; else start the daemon, which says whether the queue has it",
    )
}

/// Says what was reached. What was asked for and is not there is a failure.
fn tell(
    job: &Job,
    one: &ArchiveConfig,
    into: &SubscriberConfig,
    up_to: UpTo,
    reached: &Reached,
) -> Result<Exit, Failure> {
    let (tick, rows, conflicts) = (
        reached.position.tick.id,
        reached.done.rows,
        reached.conflicts,
    );
    let behind = reached.behind.as_ref().map(|tick| {
        let (number, time) = (tick.0.0, String::from(tick.2));
        format!(", the next tick {number} is of {time}")
    });
    job.say(&format!(
        "{} is at tick {tick}: {rows} rows, {conflicts} conflicts{}",
        label(into),
        behind.unwrap_or_default()
    ))?;
    for row in &reached.left {
        eprintln!("not written: {}: {}", row.table, row.stand.state().as_str());
    }
    let failed = |why: String| Err(Failure::message(Exit::Failed, why));
    match &reached.ahead {
        Some(Ahead::Hole(hole)) => failed(format!(
            "archive {} has a hole after tick {tick}: {}",
            one.name, hole.why
        )),
        Some(Ahead::Missing(seq)) => failed(format!(
            "archive {}: segment {seq} is missing, and later ones are there",
            one.name
        )),
        Some(Ahead::End) if up_to != UpTo::End && !is_reached(up_to, tick) => failed(format!(
            "archive {} ends at tick {tick}, before what was asked for",
            one.name
        )),
        Some(Ahead::End | Ahead::Segment) | None if conflicts > 0 || !reached.left.is_empty() => {
            Ok(Exit::Part)
        }
        Some(Ahead::End | Ahead::Segment) | None => Ok(Exit::Done),
    }
}

/// Whether the archive's last tick is the one that was asked for. That it is the last one before a time cannot be
/// known.
fn is_reached(up_to: UpTo, tick: TickId) -> bool {
    match up_to {
        UpTo::End => true,
        UpTo::Tick(wanted) => wanted == tick,
        UpTo::Time(_) => false,
    }
}
