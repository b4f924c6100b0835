//! Where the queues are: the databases that the config files name, a ticker's own and a replay's provider. Opens
//! sessions to them, and asks whether the queue is installed there.

use std::collections::BTreeMap;

use admin::config::{AnyConfig, Databases};
use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use futures::future::join_all;
use sql::connect::{ConnectInfo, Session};
use sql::ownership::{self, Schema};
use sql::standing::{self, DatabaseIdentity};

/// Which database is meant, where the config files name several.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Only this database, of those that the config files name
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(crate) database: Option<String>,
}

/// A database with queues, open.
pub(crate) struct Place {
    /// Its name; with the job's behind it where two servers have a database of this name.
    pub(crate) name: String,
    pub(crate) session: Session,
    /// Schema trunkline is there, too, and proven.
    pub(crate) has_capture: bool,
    job: String,
    identity: DatabaseIdentity,
}

/// A database that may have queues.
struct Target {
    info: ConnectInfo,
    job: String,
    /// It was not named, so that having no queue is no fault.
    may_lack_queue: bool,
}

/// All databases, each once however many files name it, and what keeps the others from being asked.
pub(crate) async fn all(configs: &[AnyConfig], args: &PlaceArgs) -> (Vec<Place>, Vec<Failure>) {
    let mut failures = Vec::new();
    let mut targets = Vec::new();
    for config in configs {
        match targets_of(config).await {
            Ok(found) => targets.extend(found),
            Err(failure) => failures.push(failure),
        }
    }
    if let Some(wanted) = &args.database {
        targets.retain(|target| target.info.dbname() == wanted);
        // The database may be on a server that could not be asked for its databases.
        if targets.is_empty() && failures.is_empty() {
            failures.push(Failure::message(
                Exit::Usage,
                format!("no config file names database {wanted}"),
            ));
        }
    }
    let mut places: Vec<Place> = Vec::new();
    for opened in join_all(targets.iter().map(open)).await {
        match opened {
            Ok(Some(place)) if places.iter().any(|one| one.identity == place.identity) => {}
            Ok(Some(place)) => places.push(place),
            Ok(None) => {}
            Err(failure) => failures.push(failure),
        }
    }
    tell_apart(&mut places);
    (places, failures)
}

/// The one database that the command is about, whatever is in it.
pub(crate) async fn only(configs: &[AnyConfig], args: &PlaceArgs) -> Result<Place, Failure> {
    one_of(all_or_none(configs, args).await?, "is meant")
}

/// The one database that has the queue.
pub(crate) async fn with_queue(
    configs: &[AnyConfig],
    args: &PlaceArgs,
    queue: &str,
) -> Result<Place, Failure> {
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

fn one_of(mut places: Vec<Place>, what: &str) -> Result<Place, Failure> {
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

/// Errors: one of the databases could not be asked, so that nobody knows what it holds.
async fn all_or_none(configs: &[AnyConfig], args: &PlaceArgs) -> Result<Vec<Place>, Failure> {
    let (places, mut failures) = all(configs, args).await;
    let Some(last) = failures.pop() else {
        return Ok(places);
    };
    for failure in &failures {
        failure.print();
    }
    Err(last)
}

async fn targets_of(config: &AnyConfig) -> Result<Vec<Target>, Failure> {
    let (job, infos, may_lack_queue) = match config {
        AnyConfig::Replay(replay) => {
            let job = replay.daemon.job_name.clone();
            (job, vec![replay.provider.clone()], false)
        }
        AnyConfig::Ticker(ticker) => {
            let job = ticker.daemon.job_name.clone();
            match &ticker.databases {
                Databases::FromDb => (job, vec![ticker.db.clone()], false),
                Databases::Named(names) => {
                    let infos = names.iter().map(|name| ticker.db.with_dbname(name));
                    (job, infos.collect(), false)
                }
                Databases::All => {
                    let session = ticker.db.connect(&purpose(&job)).await?;
                    let names = standing::databases(&*session).await;
                    let names = names.map_err(anyhow::Error::from)?;
                    let infos = names.iter().map(|name| ticker.db.with_dbname(name));
                    (job, infos.collect(), true)
                }
            }
        }
    };
    let target = |info| Target {
        info,
        job: job.clone(),
        may_lack_queue,
    };
    Ok(infos.into_iter().map(target).collect())
}

fn purpose(job: &str) -> String {
    format!("trunkline operator {job}")
}

/// None: it has no queue and need not have one.
async fn open(target: &Target) -> Result<Option<Place>, Failure> {
    let name = target.info.dbname().to_owned();
    let context = || format!("could not ask database {name}");
    let session = target.info.connect(&purpose(&target.job)).await?;
    let installed = sql::queue::is_installed(&*session).await;
    if !installed.with_context(context)? {
        if target.may_lack_queue {
            return Ok(None);
        }
        return Err(Failure::message(
            Exit::Failed,
            format!("the queue is not installed in database {name}"),
        )
        .with_hint("run ticker install"));
    }
    // What is missing now may be made by somebody else in the next moment, and is not asked then.
    let proven = ownership::prove(&*session, Schema::PROVIDER).await;
    let has_capture = proven.with_context(context)?.contains(&Schema::Trunkline);
    let identity = standing::identity(&*session).await.with_context(context)?;
    Ok(Some(Place {
        name,
        session,
        has_capture,
        job: target.job.clone(),
        identity,
    }))
}

fn tell_apart(places: &mut [Place]) {
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
