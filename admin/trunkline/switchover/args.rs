//! What is switched over, and how long each part may take.

use std::time::Duration;

use super::verify::Verify;
use crate::failover::{FailoverArgs, LossArgs};
use crate::fence::patience;

/// Which node becomes the provider, and how long that may take.
#[derive(Debug, clap::Args)]
pub(crate) struct SwitchoverArgs {
    /// The queue whose name the set has; without it those of all replay.toml that are named with -c
    pub(super) queue: Option<String>,
    /// The node that becomes the provider: `node` in its replay.toml
    #[arg(long, value_name = "NAME", required_unless_present_any = ["resume", "abort"])]
    pub(super) to: Option<String>,
    /// Say what would be refused, and how long writes would wait; change nothing
    #[arg(long, conflicts_with_all = ["resume", "abort"])]
    pub(super) dry_run: bool,
    /// Refuse if the node lags more than this
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = patience)]
    pub(super) max_lag: Duration,
    /// Wait this long for those who are writing; each try stops others for a third of a second at most
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = patience)]
    pub(super) drain: Duration,
    /// When that time is over, end the sessions that have written: what they have not committed is rolled back
    #[arg(long, conflicts_with_all = ["abort", "dry_run"])]
    pub(super) terminate_writers: bool,
    /// Wait this long for the node to apply what was written before the fence; then all is as before
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = patience)]
    pub(super) catch_up: Duration,
    /// Compare the tables of both nodes before the node is promoted; writes wait for it. If they differ all is as
    /// before, and the exit code is 1
    #[arg(long, value_enum, value_name = "HOW", conflicts_with_all = ["or_failover", "abort"])]
    pub(super) verify: Option<Verify>,
    /// Compare for this long at most; then all is as before
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = patience)]
    pub(super) verify_timeout: Duration,
    /// Run this with sh before the fence; if it fails, nothing is done
    #[arg(long, value_name = "COMMAND")]
    pub(super) before: Option<String>,
    /// Run this with sh as soon as the node takes writes
    #[arg(long, value_name = "COMMAND")]
    pub(super) after: Option<String>,
    /// If the provider does not answer, make the node the provider in its place: trunkline failover --to NAME
    #[arg(long, conflicts_with_all = ["resume", "abort"])]
    pub(super) or_failover: bool,
    #[command(flatten)]
    pub(super) loss: LossArgs,
    /// Go on with one whose command has died
    #[arg(long, conflicts_with = "abort")]
    pub(super) resume: bool,
    /// Give one up: the provider takes writes again, if the node is not promoted yet
    #[arg(long)]
    pub(super) abort: bool,
    /// With --abort: the node that does not answer is off for ever. With --resume: so are those that do not follow
    #[arg(long)]
    pub(super) force: bool,
    /// Print JSON, an object for each queue: {"queue", "operation", "step", "term", "old", "new", "pause_ms",
    /// "final_tick", "followers"}; with --verify also "verified"
    #[arg(long)]
    pub(super) json: bool,
}

impl SwitchoverArgs {
    /// The failover of a queue that `--or-failover` asks for.
    pub(super) fn failover(&self, queue: &str) -> FailoverArgs {
        FailoverArgs {
            queue: queue.to_owned(),
            to: self.to.clone(),
            elect: false,
            loss: self.loss.clone(),
            dry_run: self.dry_run,
            before: self.before.clone(),
            after: self.after.clone(),
            resume: false,
            abort: false,
            force: false,
            json: self.json,
        }
    }
}
