//! `replay status`: how job, provider and subscribers stand.

use admin::{
    exit::{Exit, Failure},
    output,
    status::{self, Overview},
};

use super::Job;

/// Runs the command.
pub(crate) async fn run(job: &Job, json: bool) -> Result<Exit, Failure> {
    let replay = status::of_replay(&job.config).await;
    let asked = replay.provider.reachable && replay.subscribers.iter().all(|one| one.reachable);
    if json {
        output::print_json(&replay)?;
    } else {
        output::print(&status::draw(&Overview {
            tickers: Vec::new(),
            replays: vec![replay],
        }))?;
    }
    Ok(if asked { Exit::Done } else { Exit::Failed })
}
