//! `replay wait`: until all tables are ok and what was committed on the provider before the
//! call is applied.

use std::time::{Duration, Instant};

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{connect::Session, position, provider, table_state, tick::TickId};

use super::{Job, label, stored};

const LOOK: Duration = Duration::from_millis(100);

/// What `--wait` says. None: do not wait; a limit of none: for ever.
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
    let deadline = limit.map(|limit| Instant::now() + limit);
    let provider = job.provider().await?;
    let snapshot = provider::current_snapshot(&*provider)
        .await
        .context("could not ask the provider")?;
    // A quiet queue ticks once a minute: ask for a tick now.
    sql::tick::force(&*provider, job.queue())
        .await
        .context("could not ask for a tick")?;
    let tick = loop {
        let tick = provider::tick_containing(&*provider, job.queue(), &snapshot)
            .await
            .context("could not ask the provider")?;
        if let Some(tick) = tick {
            break tick;
        }
        if !rest(deadline).await {
            eprintln!("no tick yet shows what was committed before the call: does the ticker run?");
            return Ok(Exit::TimedOut);
        }
    };
    for one in job.subscribers(None)? {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        if !applied(&subscriber, one, Some(tick), deadline).await? {
            return Ok(Exit::TimedOut);
        }
    }
    Ok(Exit::Done)
}

/// Waits until the tables of one or all subscribers are ok.
pub(crate) async fn for_tables(
    job: &Job,
    subscriber: Option<&str>,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    for one in job.subscribers(subscriber)? {
        let session = job.subscriber(one).await?;
        if !applied(&session, one, None, deadline).await? {
            return Ok(Exit::TimedOut);
        }
    }
    Ok(Exit::Done)
}

/// False if the time was up; then what is missing was said.
async fn applied(
    subscriber: &Session,
    one: &SubscriberConfig,
    tick: Option<TickId>,
    deadline: Option<Instant>,
) -> Result<bool, Failure> {
    loop {
        let (stored, waiting) = futures::try_join!(
            position::find(&**subscriber, &one.consumer),
            table_state::unfinished(&**subscriber, &one.consumer, &table_state::UNFINISHED),
        )
        .with_context(|| format!("could not ask {}", label(one)))?;
        let there = stored.map(|stored| stored.position.tick.id);
        let behind = tick.is_some() && there < tick;
        if !behind && waiting.is_empty() {
            return Ok(true);
        }
        if !rest(deadline).await {
            for row in waiting {
                let why = row.error_with_rows().unwrap_or("not yet");
                eprintln!("{}: {} is {}: {why}", label(one), row.table, row.state);
            }
            if let (true, Some(tick)) = (behind, tick) {
                let at = there.map_or_else(|| "no tick".into(), |at| format!("tick {at}"));
                eprintln!("{}: at {at}, tick {tick} is wanted", label(one));
            }
            return Ok(false);
        }
    }
}

/// False if the time is up.
async fn rest(deadline: Option<Instant>) -> bool {
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return false;
    }
    tokio::time::sleep(LOOK).await;
    true
}
