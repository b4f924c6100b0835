//! `replay restore --abandon`.

use std::str::FromStr as _;

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::{
    connect::Session, daemon_lock::DaemonLock, name::TableName, subscriber::restore as noted,
};

use crate::{
    command::Job,
    restore::{plan::Begun, schema},
};

/// Ends a restore that was begun in a database. The archive is not asked: it may be gone.
pub(super) async fn abandon(job: &Job, session: &Session, consumer: &str) -> Result<Exit, Failure> {
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
        true => "the restore is given up: what it has made is half of a database, drop that",
        false => "the restore is given up, and its tables are gone",
    })?;
    Ok(Exit::Done)
}
