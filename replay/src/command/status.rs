//! `replay status`: the state of job, provider and subscribers, with an exit code that tells whether the daemon runs.

use admin::{
    exit::{Exit, Failure},
    output,
    status::{self, Asking, Overview, PATIENCE},
};

use super::Job;

/// Prints the state. [`Exit::Failed`] if a side could not be asked, [`Exit::Running`] if the daemon does not run.
pub(crate) async fn run(job: &Job, json: bool) -> Result<Exit, Failure> {
    let replay = status::of_replay(&job.config, &Asking::within(PATIENCE)).await;
    let exit = replay.exit_code();
    if json {
        output::print_json(&replay)?;
    } else {
        output::print(&status::draw(&Overview {
            tickers: Vec::new(),
            replays: vec![replay],
        }))?;
    }
    Ok(exit)
}
