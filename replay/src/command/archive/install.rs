//! What `replay install` does for an archive: its place, and a consumer that holds what follows the archive's end.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{connect::Session, provider, queue::consumer, subscriber::position::Position};

use super::opened::open_store;
use crate::{
    archive::{
        chain::{self, Listing},
        hold::is_gone,
        identity::{Identity, NoArchive},
        seal::Recipients,
        store::Store,
    },
    command::Job,
    frames::place::Place,
};

/// Makes the archive, and registers its consumer. Safe to repeat. `of_several`: the provider is one of several hosts.
pub(in crate::command) async fn install(
    job: &Job,
    provider: &Session,
    one: &ArchiveConfig,
    of_several: bool,
) -> Result<(), Failure> {
    let store = open_store(one)?;
    Recipients::read(&one.encrypt_to)
        .with_context(|| format!("archive {} cannot be used", one.name))?;
    let directory = &one.address;
    store
        .make()
        .with_context(|| format!("{directory} cannot be the archive"))?;
    let end = end(job, &store)?;
    let known = provider::consumer_position(&**provider, job.queue(), &one.consumer).await?;
    if end.is_none() {
        refuse_an_empty_disk(job, provider, one).await?;
    }
    let epoch = provider::queue_epoch(&**provider, job.queue()).await?;
    if let Some(end) = end
        && of_several
        && epoch.is_some_and(|epoch| epoch != end.epoch)
    {
        return job.say(&format!(
            "archive {}: its end is in the queue of another provider, from which the daemon goes on here",
            one.name
        ));
    }
    let known = match known {
        Some(_) if end.is_some() => {
            return job.say(&format!(
                "archive {}: consumer {} is there, in {directory}",
                one.name, one.consumer
            ));
        }
        Some(known) => known,
        None => register(job, provider, one, end).await?,
    };
    if end.is_none() {
        // Only now is it known where the archive begins.
        Identity::make(&store, job.name(), job.queue(), Place::from(known))
            .with_context(|| format!("{directory} cannot be the archive"))?;
    }
    job.say(&format!(
        "archive {}: consumer {} installed, in {directory}",
        one.name, one.consumer
    ))
}

/// Refuses to begin an archive for a consumer that tables are captured for: it has one, on a disk that is not mounted.
async fn refuse_an_empty_disk(
    job: &Job,
    provider: &Session,
    one: &ArchiveConfig,
) -> Result<(), Failure> {
    let captured = provider::captures(&**provider, Some(job.queue())).await?;
    let has_any = captured.iter().any(|object| {
        let mut consumers = object.consumers.iter();
        consumers.any(|reader| reader.consumer == one.consumer)
    });
    if !has_any {
        return Ok(());
    }
    let what = format!(
        "{} has no archive, and tables are captured for archive {} already: is its disk mounted?",
        one.address, one.name
    );
    Err(Failure::message(Exit::Failed, what).with_hint(format!(
        "mount it; if the archive is gone for ever, begin another one: replay remove --all --subscriber {0}, then \
         replay install, and replay add --all --subscriber {0}",
        one.name
    )))
}

/// Where the archive ends; None: there is none yet.
fn end(job: &Job, store: &Store) -> Result<Option<Position>, Failure> {
    let cannot = || format!("{} cannot be the archive", store);
    let identity = match Identity::read(store, job.name(), job.queue()) {
        Err(NoArchive::Missing(_)) => return Ok(None),
        identity => identity.with_context(cannot)?,
    };
    let newest = Listing::newest(store).context("could not list the segments")?;
    let Some(name) = newest else {
        return Ok(Some(identity.begin.into()));
    };
    let stored = chain::line(store, name)
        .with_context(|| format!("the newest segment, {name}, is damaged"))?;
    Ok(Some(stored.line.to.into()))
}

/// Registers the consumer where the archive ends; at the queue's newest tick where there is no archive yet, or where
/// the queue does not have what follows any more. The daemon then writes down what is missing.
async fn register(
    job: &Job,
    provider: &Session,
    one: &ArchiveConfig,
    end: Option<Position>,
) -> Result<Position, Failure> {
    let (queue, name) = (job.queue(), &one.consumer);
    if let Some(end) = end {
        match consumer::register_at(&**provider, queue, name, end.tick.id).await {
            Ok(_) => return Ok(end),
            Err(error) if !is_gone(&error) => return Err(error.into()),
            Err(error) => eprintln!(
                "warning: archive {}: what came after tick {} is lost: {error}",
                one.name, end.tick.id
            ),
        }
    }
    // A consumer that was detached for holding too much keeps its name, and must not be taken up again.
    consumer::unregister(&**provider, queue, name).await?;
    consumer::register(&**provider, queue, name).await?;
    let at = provider::consumer_position(&**provider, queue, name).await?;
    Ok(at.context("the provider lost the consumer at once")?)
}
