//! What a failover is told: its command line and a node's config.

use std::time::Duration;

use admin::cli::CommonArgs;
use admin::config::ReplayConfig;
use sql::connect::ApplicationName;

use super::args::FailoverArgs;
use super::held::Beside;
use super::plan::Wish;
use crate::topology::work::Options;

/// How long a promotion is tried.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a failover is made of.
pub(super) struct Setup<'a> {
    /// The command line.
    pub(super) args: &'a FailoverArgs,
    /// How much is said.
    pub(super) common: &'a CommonArgs,
    /// The config of a node.
    pub(super) config: &'a ReplayConfig,
    /// What sessions are called.
    pub(super) name: ApplicationName,
}

impl<'a> Setup<'a> {
    /// What an operation has beside its nodes.
    pub(super) fn beside(&self) -> Beside<'a> {
        Beside {
            options: Options {
                before: self.args.before.as_deref(),
                after: self.args.after.as_deref(),
                patience: PATIENCE,
                force: self.args.force,
                json: self.args.json,
            },
            common: self.common,
            name: self.name.clone(),
            sequence_margin: self.config.failover.sequence_margin,
        }
    }

    /// What the operator wants.
    pub(super) fn wish(&self) -> Wish<'a> {
        Wish {
            to: self.args.to.as_deref(),
            without: &self.args.loss.without,
            behind: self.args.loss.behind,
        }
    }
}
