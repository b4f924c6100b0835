//! Which provider is given up, and what may be lost with it.

/// What is said about nodes that do not answer, and about what is lost with them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LossArgs {
    /// The provider is off: an operator has switched it off, or an engine has
    #[arg(long)]
    pub(super) fenced: bool,
    /// A standby that does not answer is left out; what it alone has is lost. May be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) without: Vec<String>,
    /// The node that is named may have less than another standby; what that one has more is lost
    #[arg(long)]
    pub(super) behind: bool,
    /// Ask nobody, however much is lost
    #[arg(long)]
    pub(super) yes: bool,
}

impl LossArgs {
    /// Whether anything is said.
    pub(crate) fn is_empty(&self) -> bool {
        !self.fenced && self.without.is_empty() && !self.behind && !self.yes
    }
}

/// Which node takes the place of a provider that is off.
#[derive(Debug, clap::Args)]
pub(crate) struct FailoverArgs {
    /// The queue whose name the set has
    pub(crate) queue: String,
    /// The node that becomes the provider: `node` in its replay.toml
    #[arg(long, value_name = "NAME", required_unless_present_any = ["elect", "resume", "abort"])]
    pub(crate) to: Option<String>,
    /// The standby that has most of the provider's log becomes the provider; of several the one of the highest priority
    #[arg(long, conflicts_with = "to")]
    pub(crate) elect: bool,
    #[command(flatten)]
    pub(crate) loss: LossArgs,
    /// Say who would become the provider, what would be lost and what would be refused; change nothing
    #[arg(long, conflicts_with_all = ["resume", "abort"])]
    pub(crate) dry_run: bool,
    /// Run this with sh before anything is done; if it fails, nothing is done
    #[arg(long, value_name = "COMMAND")]
    pub(crate) before: Option<String>,
    /// Run this with sh as soon as the node takes writes
    #[arg(long, value_name = "COMMAND")]
    pub(crate) after: Option<String>,
    /// Go on with one whose command has died
    #[arg(long, conflicts_with = "abort")]
    pub(crate) resume: bool,
    /// Give one up: all nodes go on where they stand, if none is promoted yet
    #[arg(long)]
    pub(crate) abort: bool,
    /// With --abort: the elected node does not answer, and is off for ever. With --resume: so are those that do not
    /// follow
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON: {"queue", "operation", "step", "term", "old", "new", "pause_ms", "final_tick", "followers",
    /// "lost_possible"}
    #[arg(long)]
    pub(crate) json: bool,
}
