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
    queue::tick::{Epoch, TickId},
    subscriber::position::Position,
};

use super::{identity::IdentityArgs, opened::open_store};
use crate::{
    archive::{
        identity::Identity,
        line::History,
        verify::{self, Depth},
    },
    command::{Job, label, stored},
    files::{
        apply::{self, Database, Reached},
        batches::{Files, UpTo},
        trail::{Ahead, NotThere},
    },
    frames::place::Time,
    restore::plan::To,
};

/// The arguments of `archive feed`.
#[derive(Debug, clap::Args)]
pub(super) struct FeedArgs {
    /// The subscriber whose database is brought up, where the config has several
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    /// The last tick, by its number or by a time of the provider's clock (UTC): all that is there, by default
    #[arg(long, value_name = "TICK|TIME", value_parser = to)]
    to: Option<To>,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Reads a tick's number, or a time.
fn to(text: &str) -> Result<To, String> {
    if let Ok(number) = text.parse() {
        return Ok(To::Tick(number));
    }
    match Time::read(text) {
        Some(time) => Ok(To::Time(time)),
        None => Err("a tick's number, or a time like 2026-11-28T02:07:11Z".into()),
    }
}

/// The place that is meant: a tick's number is that of the newest queue which has it.
fn up_to(job: &Job, one: &ArchiveConfig, to: To, from: Position) -> Result<UpTo, Failure> {
    let tick = match to {
        To::Latest => return Ok(UpTo::End),
        To::Time(time) => return Ok(UpTo::Time(time)),
        To::Tick(tick) => tick,
    };
    let store = open_store(one)?;
    let cannot = || format!("nothing was done: archive {} cannot be read", one.name);
    let identity = Identity::of_queue(&store, job.queue()).with_context(cannot)?;
    let found = verify::archive(&store, &identity, Depth::Lines).with_context(cannot)?;
    let history = History::of(identity.begin, &found.lines);
    let at = history.of_tick(None, tick);
    let at = at.and_then(|at| history.0.get(at.stretch));
    let epoch = at.map_or(from.epoch, |stretch| Epoch(stretch.from.0.0));
    Ok(UpTo::Tick(epoch, TickId(tick)))
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
    let up_to = up_to(job, one, args.to.unwrap_or(To::Latest), from)?;
    let found = args.identity.open(job, open_store(one)?)?;
    let found = Files::open(found, job.queue(), from)
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
        alters: job.config.replicates_columns(into),
    };
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
        Some(Ahead::Fork(left)) => failed(format!(
            "archive {} goes on from tick {left}, and {} is at tick {tick}",
            one.name,
            label(into)
        )),
        Some(Ahead::Hop(_)) if !matches!(up_to, UpTo::Time(_)) => failed(format!(
            "archive {} has not got what was asked for: at tick {tick} it goes on in another provider's queue",
            one.name
        )),
        Some(Ahead::End) if up_to != UpTo::End && !up_to.is(reached.position) => failed(format!(
            "archive {} ends at tick {tick}, before what was asked for",
            one.name
        )),
        Some(Ahead::End | Ahead::Segment | Ahead::Hop(_)) | None
            if conflicts > 0 || !reached.left.is_empty() =>
        {
            Ok(Exit::Part)
        }
        Some(Ahead::End | Ahead::Segment | Ahead::Hop(_)) | None => Ok(Exit::Done),
    }
}
