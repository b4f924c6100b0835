//! The databases with queues that the config files name: a ticker's own databases and a replay's provider. Opens
//! sessions to them, and asks whether the queue is installed in each.

use std::collections::BTreeMap;
use std::time::Duration;

use admin::config::AnyConfig;
use admin::databases;
use admin::exit::{Exit, Failure};
use admin::status::Asking;
use anyhow::Context as _;
use futures::future::join_all;
use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use sql::install::ownership::{self, Schema};
use sql::standing::{self, DatabaseIdentity};

/// Which database is meant, where the config files name several.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Only this database, of those that the config files name
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(crate) database: Option<String>,
}

/// An open session to a database with queues.
pub(crate) struct Located {
    /// The database's name; with the job's name behind it if two servers have a database of this name.
    pub(crate) name: String,
    pub(crate) session: Session,
    /// The database has schema trunkline too, and the schema is proven.
    pub(crate) has_capture: bool,
    job: String,
    identity: DatabaseIdentity,
}

/// A database that may have queues.
struct NamedDatabase {
    info: ConnectInfo,
    job: String,
    /// The database is a replay's provider.
    of_replay: bool,
    /// The config does not name the database, so that a missing queue is no fault.
    may_lack_queue: bool,
}

/// A database that cannot be asked.
pub(crate) struct Missed {
    pub(crate) failure: Failure,
    /// The database is a replay's provider.
    pub(crate) of_replay: bool,
}

/// All databases, each once however many files name it, and the failures of those that cannot be asked.
pub(crate) async fn all(configs: &[AnyConfig], args: &PlaceArgs) -> (Vec<Located>, Vec<Failure>) {
    let (places, missed) = within(configs, args, &Asking::within(COMMAND_PATIENCE)).await;
    let failures = missed.into_iter().map(|missed| missed.failure);
    (places, failures.collect())
}

/// Prints each failure, and gives the exit code of a list: [`Exit::Part`] if some database was asked, else the first
/// failure's code.
pub(crate) fn exit_of(places: &[Located], failures: &[Failure]) -> Exit {
    for failure in failures {
        failure.print();
    }
    match (failures.first(), places.is_empty()) {
        (None, _) => Exit::Done,
        (Some(failure), true) => failure.exit,
        (Some(_), false) => Exit::Part,
    }
}

/// The same as [`all`], within the time for asking.
pub(crate) async fn within(
    configs: &[AnyConfig],
    args: &PlaceArgs,
    asking: &Asking,
) -> (Vec<Located>, Vec<Missed>) {
    let mut failures = Vec::new();
    let mut targets = Vec::new();
    for config in configs {
        match in_time(asking, targets_of(config)).await {
            Ok(found) => targets.extend(found),
            Err(failure) => failures.push(Missed {
                failure,
                of_replay: matches!(config, AnyConfig::Replay(_)),
            }),
        }
    }
    if let Some(wanted) = &args.database {
        targets.retain(|target| target.info.dbname() == wanted);
        // The database may be on a server that could not be asked for its databases.
        if targets.is_empty() && failures.is_empty() {
            let text = format!("no config file names database {wanted}");
            failures.push(Missed {
                failure: Failure::message(Exit::Usage, text),
                of_replay: false,
            });
        }
    }
    let mut places: Vec<Located> = Vec::new();
    let opening = targets.iter().map(|target| async move {
        let opened = in_time(asking, open(target)).await;
        opened.map_err(|failure| Missed {
            failure,
            of_replay: target.of_replay,
        })
    });
    for opened in join_all(opening).await {
        match opened {
            Ok(Some(place)) if places.iter().any(|one| one.identity == place.identity) => {}
            Ok(Some(place)) => places.push(place),
            Ok(None) => {}
            Err(missed) => failures.push(missed),
        }
    }
    tell_apart(&mut places);
    (places, failures)
}

/// The one database that the command is about, whatever the database holds.
pub(crate) async fn only(configs: &[AnyConfig], args: &PlaceArgs) -> Result<Located, Failure> {
    one_of(all_or_none(configs, args).await?, "is meant")
}

/// The one database that has the queue.
pub(crate) async fn with_queue(
    configs: &[AnyConfig],
    args: &PlaceArgs,
    queue: &str,
) -> Result<Located, Failure> {
    let (mut having, mut lacking) = (Vec::new(), Vec::new());
    for place in all_or_none(configs, args).await? {
        let exists = sql::queue::exists(&*place.session, queue).await;
        if exists.map_err(anyhow::Error::from)? {
            having.push(place);
        } else {
            lacking.push(place);
        }
    }
    if having.is_empty() {
        let names: Vec<&str> = lacking.iter().map(|place| place.name.as_str()).collect();
        let mut near = String::new();
        for place in &lacking {
            if near.is_empty() {
                near = sql::queue::did_you_mean(&*place.session, queue).await;
            }
        }
        return Err(Failure::message(
            Exit::Failed,
            format!("there is no queue {queue} in {}{near}", names.join(", ")),
        ));
    }
    one_of(having, &format!("has queue {queue}"))
}

fn one_of(mut places: Vec<Located>, what: &str) -> Result<Located, Failure> {
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => Ok(place),
        (None, _) => Err(Failure::message(
            Exit::Failed,
            "no database of the config files has the queue",
        )
        .with_hint("run ticker install")),
        (Some(place), false) => {
            places.push(place);
            let names: Vec<_> = places.iter().map(|place| place.name.as_str()).collect();
            Err(Failure::message(
                Exit::Usage,
                format!("more than one database {what}: {}", names.join(", ")),
            )
            .with_hint("name it with --database, or its config file with -c"))
        }
    }
}

/// All databases. Errors: one of the databases could not be asked, so that it is not known what it holds.
async fn all_or_none(configs: &[AnyConfig], args: &PlaceArgs) -> Result<Vec<Located>, Failure> {
    let (places, mut failures) = all(configs, args).await;
    let Some(last) = failures.pop() else {
        return Ok(places);
    };
    for failure in &failures {
        failure.print();
    }
    Err(last)
}

/// How long a command that changes something may ask; it is longer than for a command that only reads.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// The result, or the failure of its kind, or that the time is up.
async fn in_time<T>(
    asking: &Asking,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let asked = asking.ask(async { Ok(asked.await) }).await;
    asked.unwrap_or_else(|unasked| Err(Failure::message(Exit::TimedOut, unasked.error)))
}

async fn targets_of(config: &AnyConfig) -> Result<Vec<NamedDatabase>, Failure> {
    let (job, infos, may_lack_queue) = match config {
        AnyConfig::Replay(replay) => {
            let job = replay.daemon.job_name.clone();
            (job, vec![replay.provider.clone()], false)
        }
        AnyConfig::Ticker(ticker) => {
            let job = ticker.daemon.job_name.clone();
            let name = session_name(&job);
            let found = databases::of_ticker::<anyhow::Error>(ticker, &name).await?;
            (job, found.connections, found.may_lack_queue)
        }
    };
    let target = |info| NamedDatabase {
        info,
        job: job.clone(),
        of_replay: matches!(config, AnyConfig::Replay(_)),
        may_lack_queue,
    };
    Ok(infos.into_iter().map(target).collect())
}

/// The databases of a node itself: those of a ticker, and those that a replay writes. With the name of a session there.
pub(crate) async fn own(
    config: &AnyConfig,
    purpose: Purpose,
) -> anyhow::Result<(ApplicationName, Vec<ConnectInfo>)> {
    match config {
        AnyConfig::Ticker(ticker) => {
            let name = ApplicationName::new(purpose, &ticker.daemon.job_name);
            let found = databases::of_ticker::<anyhow::Error>(ticker, &name).await?;
            Ok((name, found.connections))
        }
        AnyConfig::Replay(replay) => {
            let name = ApplicationName::new(purpose, &replay.daemon.job_name);
            let own = replay.subscribers.iter().map(|one| one.db.clone());
            Ok((name, own.collect()))
        }
    }
}

fn session_name(job: &str) -> ApplicationName {
    ApplicationName::new(Purpose::Operator, job)
}

/// Opens a database; None: it has no queue and need not have one.
async fn open(target: &NamedDatabase) -> Result<Option<Located>, Failure> {
    match locate(&target.info, &session_name(&target.job), &target.job).await? {
        Some(place) => Ok(Some(place)),
        None if target.may_lack_queue => Ok(None),
        None => Err(Failure::message(
            Exit::Failed,
            format!(
                "the queue is not installed in database {}",
                target.info.dbname()
            ),
        )
        .with_hint("run ticker install")),
    }
}

/// Opens a database for a job's command; None: it has no queue.
pub(crate) async fn locate(
    info: &ConnectInfo,
    as_name: &ApplicationName,
    job: &str,
) -> Result<Option<Located>, Failure> {
    let name = info.dbname();
    let context = || format!("could not ask database {name}");
    let session = info.connect(as_name).await?;
    let installed = sql::queue::is_installed(&*session).await;
    if !installed.with_context(context)? {
        return Ok(None);
    }
    // A schema that is missing now may be made by somebody else in the next moment; it is not asked then.
    let proven = ownership::prove(&*session, Schema::PROVIDER).await;
    let has_capture = proven.with_context(context)?.contains(&Schema::Trunkline);
    let identity = standing::identity(&*session).await.with_context(context)?;
    Ok(Some(Located {
        name: name.to_owned(),
        session,
        has_capture,
        job: job.to_owned(),
        identity,
    }))
}

fn tell_apart(places: &mut [Located]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for place in places.iter() {
        *counts.entry(place.name.clone()).or_default() += 1;
    }
    for place in places {
        if counts.get(&place.name).is_some_and(|count| *count > 1) {
            place.name = format!("{}@{}", place.name, place.job);
        }
    }
}
