//! `replay uninstall`: takes everything of ours out, on the side named. Tables of users keep their rows.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, Purpose, Session},
    daemon_lock::DaemonLock,
    install::{
        ownership::{self, Schema},
        uninstall,
    },
    moment::{self, LockTimeout as _},
    queue::{self, consumer},
    role::{self, Role},
    subscriber::{
        kept_ddl, position,
        table_state::{self, TableRow},
    },
};

use super::{Job, label, remove};
use crate::{
    copy::names::Names,
    queue::leave,
    set::host::{self, Found},
};

/// The arguments of `uninstall`.
#[derive(Debug, clap::Args)]
pub(crate) struct UninstallArgs {
    /// Everything of ours in the provider's database: capture, queues, events and schemas
    #[arg(long, conflicts_with = "subscriber")]
    provider: bool,
    /// One subscriber only
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Although the provider cannot be asked, although others use what goes
    #[arg(long)]
    force: bool,
}

/// What answers for the provider.
enum AtProvider {
    /// It has our schemas.
    There(Session),
    /// It has nothing of ours.
    Nothing,
    /// It does not answer, and its part is left.
    Left,
}

/// Runs the command. Each step is safe to repeat.
pub(crate) async fn run(job: &Job, args: &UninstallArgs) -> Result<Exit, Failure> {
    if args.provider {
        return whole_provider(job, args.force).await;
    }
    let takers = job.takers(args.subscriber.as_deref())?;
    // Whoever is still at work, or would lose something, is found before anything is taken away.
    let mut opened = Vec::new();
    for one in &takers.subscribers {
        let session = open(job, one, &takers.subscribers, args.force).await?;
        opened.push((*one, session));
    }
    let provider = match session_at_provider(job).await {
        Ok(provider) => provider,
        Err(failure) if args.force => {
            eprintln!("warning: {:#}", failure.error);
            AtProvider::Left
        }
        Err(failure) => {
            return Err(failure.with_hint(
                "with --force its part is left: its consumers go on holding events there, until somebody runs \
                 `trunkline consumer unregister` or `replay uninstall --provider` for it",
            ));
        }
    };
    if let AtProvider::There(provider) = &provider {
        for one in &takers.archives {
            let lock = DaemonLock::Replay {
                consumer: &one.consumer,
            };
            take(
                provider,
                lock,
                &format!("archive {}", one.name),
                "replay stop",
            )
            .await?;
        }
    }
    for one in takers.archives {
        leave(job, &provider, &one.consumer).await?;
        job.say(&format!(
            "archive {}: {} stays as it is",
            one.name, one.address
        ))?;
    }
    for (one, session) in opened {
        // First here, so that nothing is applied any more.
        if let Some(mut session) = session {
            of_subscriber(job, one, &mut session, args.force).await?;
        } else {
            job.say(&format!("{}: nothing of ours is there", label(one)))?;
        }
        leave(job, &provider, &one.consumer).await?;
    }
    match provider {
        AtProvider::There(_) => job.say(
            "the provider's queues and schemas stay: replay uninstall --provider takes them out",
        )?,
        AtProvider::Nothing => job.say("the provider: nothing of ours is there")?,
        AtProvider::Left => return Ok(Exit::Part),
    }
    Ok(Exit::Done)
}

/// A session to a subscriber that has something of ours; none: it has not.
async fn open(
    job: &Job,
    one: &SubscriberConfig,
    all: &[&SubscriberConfig],
    force: bool,
) -> Result<Option<Session>, Failure> {
    let session = job.bare_subscriber(one).await?;
    if !uninstall::is_there(&*session).await? {
        return Ok(None);
    }
    let lock = DaemonLock::Replay {
        consumer: &one.consumer,
    };
    take(&session, lock, &label(one), "replay stop").await?;
    if let Some(text) = role_in_a_set(&session, &label(one)).await? {
        refuse_unless(force, &[text])?;
    }
    let mut reasons = others(job, &session).await?;
    reasons.retain(|reason| !all.iter().any(|one| one.consumer == *reason));
    if reasons.is_empty() {
        take(&session, DaemonLock::Ticker, &label(one), "ticker stop").await?;
        refuse_unless(force, &users_of_ours(&session).await?)?;
    }
    Ok(Some(session))
}

/// Takes a daemon's lock, so that none works here meanwhile.
async fn take(
    session: &Session,
    lock: DaemonLock<'_>,
    place: &str,
    stop: &str,
) -> Result<(), Failure> {
    if lock.take(&**session).await? {
        return Ok(());
    }
    let text = format!("nothing was taken out: a daemon is at work on {place}");
    Err(Failure::message(Exit::Running, text).with_hint(format!("run there: {stop}")))
}

/// Why a database is needed by the other nodes of its sets; none: it is not.
async fn role_in_a_set(session: &Session, place: &str) -> Result<Option<String>, Failure> {
    let roles = role::list(&**session).await?;
    let mut needed = roles
        .iter()
        .filter(|one| matches!(one.role, Role::Provider | Role::Fenced));
    Ok(needed.next().map(|one| {
        format!(
            "{place} is {} of set {}, whose other nodes need its history",
            one.role.as_str(),
            one.queue
        )
    }))
}

/// Refuses where others would lose something, unless they are to.
fn refuse_unless(force: bool, losers: &[String]) -> Result<(), Failure> {
    if losers.is_empty() {
        return Ok(());
    }
    if force {
        for loser in losers {
            eprintln!("warning: {loser}");
        }
        return Ok(());
    }
    let text = format!("nothing was taken out: {}", losers.join("; "));
    Err(Failure::message(Exit::Failed, text).with_hint("--force takes it out all the same"))
}

/// Whether a provider has something of ours.
async fn session_at_provider(job: &Job) -> Result<AtProvider, Failure> {
    let session = bare_provider(job).await?;
    let there = ownership::prove(&*session, Schema::PROVIDER).await?;
    if there.len() < Schema::PROVIDER.len() {
        return Ok(AtProvider::Nothing);
    }
    moment::prepare(&session).await?;
    Ok(AtProvider::There(session))
}

/// Ends a consumer and its capture, or says that they are left.
async fn leave(job: &Job, provider: &AtProvider, consumer: &str) -> Result<(), Failure> {
    let provider = match provider {
        AtProvider::There(provider) => provider,
        AtProvider::Nothing => return Ok(()),
        AtProvider::Left => {
            eprintln!("left at the provider: consumer {consumer} and its capture");
            return Ok(());
        }
    };
    match leave::run(provider, job.queue(), consumer).await {
        Err(error) if error.is_lock_timeout() => {
            let text = format!(
                "others hold locks on tables that are captured for {consumer}: run the command again"
            );
            return Err(Failure::message(Exit::TimedOut, text));
        }
        other => other?,
    }
    job.say(&format!(
        "provider: consumer {consumer} and its capture are gone"
    ))
}

/// Takes the job out of a subscriber; with the last one our schema goes.
async fn of_subscriber(
    job: &Job,
    one: &SubscriberConfig,
    session: &mut Session,
    force: bool,
) -> Result<(), Failure> {
    if position::is_installed(&**session)
        .await
        .context("could not look for replay's tables")?
    {
        let rows: Vec<TableRow> = table_state::list(&**session, &one.consumer).await?;
        let names = Names::default();
        for row in &rows {
            let target = names.target(row);
            remove::remove_from(session, job.config.session_role, one, row, target).await?;
        }
        refuse_to_forget(session, one, force).await?;
        position::remove(&**session, &one.consumer).await?;
    }
    let reasons = others(job, session).await?;
    if !reasons.is_empty() {
        return job.say(&format!(
            "{}: the job is taken out; schema trunkline stays, for {}",
            label(one),
            reasons.join(", ")
        ));
    }
    take(session, DaemonLock::Ticker, &label(one), "ticker stop").await?;
    take_out(session, force).await?;
    job.say(&format!(
        "{}: nothing of ours is left; its tables and their rows stay",
        label(one)
    ))
}

/// Indexes and constraints that copies took away, and that could not be brought back. Nobody else has their
/// definitions.
async fn refuse_to_forget(
    session: &Session,
    one: &SubscriberConfig,
    force: bool,
) -> Result<(), Failure> {
    let kept = kept_ddl::list(&**session, &one.consumer).await?;
    let kept: Vec<String> = kept
        .iter()
        .map(|one| {
            let statements = one.build.iter().chain(&one.attach);
            let statements = statements.chain(one.validate.iter().flatten());
            let statements: Vec<&str> = statements.map(String::as_str).collect();
            format!(
                "{} is not brought back: {}",
                one.label(),
                statements.join("; ")
            )
        })
        .collect();
    if kept.is_empty() || force {
        return refuse_unless(force, &kept);
    }
    let text = format!("the tables are out of the job, and: {}", kept.join("; "));
    Err(Failure::message(Exit::Failed, text)
        .with_hint("run: replay restore-ddl, then this command again; --force forgets them"))
}

/// Who else needs our schema in a subscriber's database.
async fn others(job: &Job, session: &Session) -> Result<Vec<String>, Failure> {
    let mut reasons = match position::is_installed(&**session)
        .await
        .context("could not look for replay's tables")?
    {
        true => position::consumers(&**session).await?,
        false => Vec::new(),
    };
    reasons.extend(queues(job, session).await?);
    Ok(reasons)
}

/// The queues of a database, as a reason why our schemas stay. A node's own queue, of its set, is none while nobody
/// reads it.
async fn queues(job: &Job, session: &Session) -> Result<Vec<String>, Failure> {
    if !queue::is_installed(&**session)
        .await
        .context("could not look for queues")?
    {
        return Ok(Vec::new());
    }
    let mut names = queue::names(&**session).await?;
    if job.config.is_member() {
        let read = consumer::list(&**session).await?;
        names.retain(|name| name != job.queue() || read.iter().any(|one| one.queue == *name));
    }
    let named = names.into_iter().map(|name| format!("queue {name}"));
    Ok(named.collect())
}

/// Takes everything of ours out of the provider's database.
async fn whole_provider(job: &Job, force: bool) -> Result<Exit, Failure> {
    let mut session = bare_provider(job).await?;
    let place = format!("the provider (database {})", job.config.provider.dbname());
    if !uninstall::is_there(&*session).await? {
        job.say(&format!("{place}: nothing of ours is there"))?;
        return Ok(Exit::Done);
    }
    let mut losers: Vec<String> = role_in_a_set(&session, &place).await?.into_iter().collect();
    losers.extend(others_at(&session).await?);
    losers.extend(users_of_ours(&session).await?);
    refuse_unless(force, &losers)?;
    take(&session, DaemonLock::Ticker, &place, "ticker stop").await?;
    take_out(&mut session, force).await?;
    job.say(&format!(
        "{place}: nothing of ours is left; its tables and their rows stay"
    ))?;
    job.say(
        "the roles pgq_reader, pgq_writer and pgq_admin stay: they are those of all databases of the server",
    )?;
    Ok(Exit::Done)
}

/// Who uses the provider: consumers of any queue, the job's own too, and jobs that write here.
async fn others_at(session: &Session) -> Result<Vec<String>, Failure> {
    let mut others = Vec::new();
    if queue::is_installed(&**session)
        .await
        .context("could not look for queues")?
    {
        for one in consumer::list(&**session).await? {
            others.push(format!("consumer {} reads queue {}", one.name, one.queue));
        }
    }
    if position::is_installed(&**session)
        .await
        .context("could not look for replay's tables")?
    {
        let jobs = position::consumers(&**session).await?;
        others.extend(
            jobs.into_iter()
                .map(|name| format!("{name} is replicated into it")),
        );
    }
    Ok(others)
}

/// What of the users would go with ours.
async fn users_of_ours(session: &Session) -> Result<Vec<String>, Failure> {
    let users = uninstall::dependents(&**session).await?.into_iter();
    Ok(users
        .map(|one| format!("{one} uses our objects, and would go with them"))
        .collect())
}

async fn take_out(session: &mut Session, force: bool) -> Result<(), Failure> {
    match uninstall::uninstall(session, force).await {
        Err(error) if error.is_lock_timeout() => {
            let text = "a part is taken out: others hold locks on the rest, run the command again";
            Err(Failure::message(Exit::TimedOut, text))
        }
        other => Ok(other?),
    }
}

async fn bare_provider(job: &Job) -> Result<Session, Failure> {
    let job = match host::find(&job.config, false).await? {
        Some(Found::Host(host)) => job.at(host),
        Some(Found::Own(_) | Found::Silence) | None => job.at(job.config.provider.clone()),
    };
    let name = ApplicationName::new(Purpose::Admin, job.name());
    Ok(job.config.provider.connect(&name).await?)
}
