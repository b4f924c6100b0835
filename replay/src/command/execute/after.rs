//! What follows when scripts were executed on the provider: the subscribers are waited for, and what the scripts have
//! made is added.

use std::time::{Duration, Instant};

use admin::exit::{Exit, Failure};
use clap::Args;
use sql::{
    connect::Session,
    name::TableName,
    script::{
        Script,
        record::{self, State},
    },
};

use crate::command::{
    Job,
    add::{self, AddArgs},
    label,
    sequences::{self, SequenceArgs},
    subscriber::Opened,
};

const LOOK: Duration = Duration::from_millis(100);

/// How long `--add` waits for the subscribers, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the scripts are over on all subscribers. Exit code 1: one has failed or waits for a person; 4: the time
/// is up.
pub(super) async fn wait(
    job: &Job,
    scripts: &[Script],
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut exit = Exit::Done;
    for one in job.subscribers(None)? {
        let opened = Opened::of(job, one).await?;
        for script in scripts {
            loop {
                match record::state(&*opened.session, &one.consumer, script).await? {
                    Some((State::Ignored, _)) => {
                        job.say(&format!("{}: is not for {}", script.id, label(one)))?;
                        break;
                    }
                    Some((state, _)) if state.is_over() => {
                        job.say(&format!(
                            "{}: {} on {}",
                            script.id,
                            state.as_str(),
                            label(one)
                        ))?;
                        break;
                    }
                    Some((state @ (State::Failed | State::Waiting), Some(why))) => {
                        eprintln!(
                            "{}: {} on {}: {}",
                            script.id,
                            state.as_str(),
                            label(one),
                            why.error
                        );
                        eprintln!("hint: {}", why.advice);
                        exit = Exit::Part;
                        break;
                    }
                    // It has come to another consumer, or was executed here first, when this was the provider.
                    None if record::was_done_here(&*opened.session, script).await? => {
                        job.say(&format!("{}: done on {}", script.id, label(one)))?;
                        break;
                    }
                    Some(_) | None => {}
                }
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(Failure::message(
                        Exit::TimedOut,
                        format!("{}: {} has not executed it yet", script.id, label(one)),
                    )
                    .with_hint("see why: replay status; and later: replay execute --list"));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }
    Ok(exit)
}

/// Adds what the scripts have made on the provider, when the subscribers have it, too.
pub(super) async fn add(
    job: &Job,
    provider: &Session,
    scripts: &[Script],
    patience: Option<Option<Duration>>,
) -> Result<Exit, Failure> {
    let waited = wait(job, scripts, patience.unwrap_or(Some(PATIENCE))).await;
    let waited = waited.map_err(|failure| {
        failure.with_hint("the same command goes on where it was: replay execute --add FILE")
    })?;
    if waited != Exit::Done {
        return Ok(waited);
    }
    let known = record::of_provider(&**provider, job.queue()).await?;
    let of_scripts = |(id, digest): (&str, &str)| {
        scripts
            .iter()
            .any(|one| one.id == id && one.digest == digest)
    };
    let made: Vec<(String, TableName)> = known
        .into_iter()
        .filter(|one| of_scripts((&one.id, &one.digest)))
        .flat_map(|one| one.made)
        .collect();
    let of_kind = |kind: &str| -> Vec<String> {
        let of_kind = made.iter().filter(|one| one.0 == kind);
        of_kind.map(|(_, name)| name.to_string()).collect()
    };
    let (tables, sequences) = (of_kind("table"), of_kind("sequence"));
    if tables.is_empty() && sequences.is_empty() {
        job.say("the scripts have made no table and no sequence")?;
        return Ok(Exit::Done);
    }
    let mut exit = Exit::Done;
    if !tables.is_empty() {
        exit = add::run(job, &arguments::<AddArgs>(&tables)?).await?;
    }
    if !sequences.is_empty() && exit == Exit::Done {
        exit = sequences::add(job, &arguments::<SequenceArgs>(&sequences)?).await?;
    }
    Ok(exit)
}

/// The arguments of another command, as a command line with these names would have them.
fn arguments<A: Args>(names: &[String]) -> Result<A, Failure> {
    let command = A::augment_args(clap::Command::new("add").no_binary_name(true));
    let words = ["--"].into_iter().chain(names.iter().map(String::as_str));
    let matches = command.try_get_matches_from(words);
    let read = matches.and_then(|matches| A::from_arg_matches(&matches));
    read.map_err(|error| Failure::message(Exit::Failed, error))
}
