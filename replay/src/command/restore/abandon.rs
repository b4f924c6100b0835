//! `replay restore --abandon`.

use std::str::FromStr as _;

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    daemon_lock::DaemonLock,
    install::ownership::Schema,
    name::TableName,
    provider,
    subscriber::{position, restore as noted},
};

use crate::{
    command::Job,
    restore::{plan::Begun, schema},
};

/// Ends a restore that was begun in a database. The archive is not asked: it may be gone.
pub(super) async fn abandon(
    job: &Job,
    (session, into): (&Session, &ConnectInfo),
    (consumer, name): (&str, &str),
) -> Result<Exit, Failure> {
    let nothing = |text: &str| Failure::message(Exit::Failed, format!("nothing was done: {text}"));
    if !(DaemonLock::Replay { consumer }).take(&**session).await? {
        let text = "nothing was done: the restore into this database is under way";
        return Err(Failure::message(Exit::Running, text).with_hint("end that process first"));
    }
    let begun = noted::unfinished(&**session).await?;
    let (of, detail) =
        begun.ok_or_else(|| nothing("no restore in this database waits to go on"))?;
    if of != consumer {
        let text = "the restore in this database is one of another archive";
        return Err(nothing(text).with_hint("name that one: --from"));
    }
    let begun: Begun = serde_json::from_str(&detail)
        .context("what is noted in trunkline.restore cannot be read")?;
    let made = begun.tables.iter();
    let made: Vec<TableName> = made
        .map(|(_, new)| TableName::from_str(new))
        .collect::<Result<_, _>>()
        .context("what is noted in trunkline.restore cannot be read")?;
    if noted::done(&**session, consumer)
        .await?
        .contains(schema::MADE)
    {
        noted::drop_tables(&**session, &made).await?;
    }
    noted::end(&**session, consumer, !begun.had_schema).await?;
    job.say(match begun.tables.is_empty() {
        true => "the restore is given up: what it has made stays, and may be half of a database",
        false => "the restore is given up, and its tables are gone",
    })?;
    Ok(
        match begun.subscribes && left_behind(job, into, name).await? {
            true => Exit::Part,
            false => Exit::Done,
        },
    )
}

/// Whether the provider holds its queue for a subscriber that a restore was to make and that has no place in the
/// database, which is told: the last step registers it before the database is its own, and nobody moves it then.
pub(super) async fn left_behind(
    job: &Job,
    into: &ConnectInfo,
    name: &str,
) -> Result<bool, Failure> {
    let mut subscribers = job.config.subscribers.iter();
    let Some(one) = subscribers.find(|one| one.source_name() == name) else {
        eprintln!(
            "the provider may hold its queue for the subscriber that was to go on: --into names none of the config"
        );
        return Ok(true);
    };
    let purpose = ApplicationName::new(Purpose::Restore, job.name());
    let session = into.connect_for(&purpose, Schema::SUBSCRIBER).await?;
    let consumer = &one.consumer;
    let is_there = position::is_installed(&*session).await?;
    if is_there && position::find(&*session, consumer).await?.is_some() {
        return Ok(false);
    }
    let what = format!("queue {} for consumer {consumer}", job.config.queue);
    let unregister = format!(
        "if nobody goes on with it: trunkline consumer unregister {} {consumer}",
        job.config.queue
    );
    let held = async {
        let provider = job.config.provider.connect_for(&purpose, Schema::PROVIDER);
        let (provider, queue) = (provider.await?, &job.config.queue);
        let held = provider::consumer_position(&*provider, queue, consumer).await?;
        anyhow::Ok(held)
    };
    match held.await {
        Ok(None) => return Ok(false),
        Ok(Some(_)) => eprintln!("the provider holds {what}; {unregister}"),
        Err(error) => {
            eprintln!("the provider cannot be asked, and may hold {what}; {unregister}: {error:#}")
        }
    }
    Ok(true)
}
