//! `replay pause` and `resume`: the running daemon keeps its position and waits.

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use sql::position;

use super::{Job, label, stored};

/// Runs the command on all subscribers.
pub(crate) async fn run(job: &Job, paused: bool) -> Result<Exit, Failure> {
    let word = if paused { "paused" } else { "going on" };
    for one in job.subscribers(None)? {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        let changed = position::pause(&*subscriber, &one.consumer, paused)
            .await
            .with_context(|| format!("could not tell {}", label(one)))?;
        let already = if changed { "" } else { " already" };
        job.say(&format!("{}: {word}{already}", label(one)))?;
    }
    Ok(Exit::Done)
}
