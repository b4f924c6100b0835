//! The command line of `upgrade`.

use std::path::PathBuf;

use sql::{connect::ConnectInfo, name::TableName};

use super::plan::Step;

/// The arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub(crate) struct UpgradeArgs {
    /// The directory of the upgrade: configs, logs, and what is noted; made if it is missing
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) dir: PathBuf,
    /// The database as it is, as a connection string; said once
    #[arg(long, value_name = "CONNINFO", requires = "to")]
    pub(super) from: Option<ConnectInfo>,
    /// The database that takes its place, empty, on the newer server
    #[arg(long, value_name = "CONNINFO", requires = "from")]
    pub(super) to: Option<ConnectInfo>,
    /// Make the objects of the schema as those of the role, without rights
    #[arg(long)]
    pub(super) no_owner: bool,
    /// Say what would be done, and what is done already; do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// End after this step
    #[arg(long, value_enum, value_name = "STEP")]
    pub(super) until: Option<Step>,
    /// Switch over without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Go on although the doctor says that it will fail
    #[arg(long)]
    pub(super) force: bool,
    /// Leave these tables or sequences behind, which cannot be replicated, as `replay missing` names them
    #[arg(long, value_name = "TABLE")]
    pub(super) leave: Vec<TableName>,
    /// The new database has the schema already: make nothing there but tables that are missing
    #[arg(long)]
    pub(super) keep_schema: bool,
    /// Compare no rows before the switchover
    #[arg(long)]
    pub(super) no_compare: bool,
    /// Have the switchover compare the tables once more, while writes wait: counts or digest
    #[arg(long, value_name = "HOW", value_parser = ["counts", "digest"])]
    pub(super) verify: Option<String>,
    /// Wait this long for those who are writing
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(super) drain: u32,
    /// The way back: the old database becomes the provider again, with all that the new one has taken
    #[arg(long, conflicts_with_all = ["until", "finish"])]
    pub(super) back: bool,
    /// The end: stop the daemons, and take everything of ours out of the database that takes the writes
    #[arg(long, conflicts_with = "until")]
    pub(super) finish: bool,
    /// Print JSON at the end: {"provider", "done", "next", "pause_ms", "back_pause_ms", "left"}
    #[arg(long)]
    pub(super) json: bool,
}
