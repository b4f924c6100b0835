//! `replay archive switch`: has the daemon publish what was committed before the call.

use std::time::Duration;

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};

use crate::command::{Job, wait};

/// The arguments of `archive switch`.
#[derive(Debug, clap::Args)]
pub(super) struct SwitchArgs {
    /// Give up after this time, with exit code 4
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
}

/// Runs the command.
pub(super) async fn run(
    job: &Job,
    one: &ArchiveConfig,
    args: &SwitchArgs,
) -> Result<Exit, Failure> {
    let limit = args.timeout.map(Duration::try_from_secs_f64).transpose();
    let limit =
        limit.map_err(|error| Failure::message(Exit::Usage, format!("--timeout: {error}")))?;
    wait::archived(job, one, limit).await
}
