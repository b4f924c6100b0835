//! What keeps a switchover from beginning, all of it at once. Pure.

use std::time::Duration;

use sql::operation::{Obstacle, SetSize};
use sql::queue::tick::Epoch;
use sql::standing::{Following, Unapplied};

use crate::topology::refusal::{Refusal, told};

/// What the two nodes say about the work before them.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    /// The name of the provider.
    pub old: String,
    /// The name of the node that becomes it.
    pub new: String,
    /// What keeps the provider from being fenced.
    pub fence_obstacles: Vec<Obstacle>,
    /// The identity of the provider's queue.
    pub epoch: Option<Epoch>,
    /// The set on the provider.
    pub old_size: SetSize,
    /// The set on the other node.
    pub new_size: SetSize,
    /// What keeps the other node from being promoted.
    pub not_promotable: Vec<Obstacle>,
    /// How the other node's replay stands; None: it has none.
    pub following: Option<Following>,
    /// What the provider has beyond that; None: it could not be asked.
    pub unapplied: Option<Unapplied>,
    /// A replay is at work there.
    pub replay_runs: bool,
    /// A ticker is at work there.
    pub ticker_runs: bool,
}

impl Readiness {
    /// How far the node lags, in seconds.
    pub(crate) fn lag(&self) -> Option<f64> {
        let known = self.unapplied.filter(|one| one.is_known)?;
        Some(known.seconds.unwrap_or(0.0))
    }
}

/// All that keeps a switchover from beginning.
pub(crate) fn refusals(ready: &Readiness, max_lag: Duration) -> Vec<Refusal> {
    let Readiness { old, new, .. } = ready;
    let mut refused = Vec::new();
    let mut refuse = |what: String, hint: &str| refused.push(Refusal::new(what).advised(hint));
    for (node, size) in [(old, ready.old_size), (new, ready.new_size)] {
        if i64::from(size.relations) > size.locks / 2 {
            refuse(
                format!(
                    "{node}: {} tables and partitions are more than half of the {} locks that its server has room for",
                    size.relations, size.locks
                ),
                "max_locks_per_transaction in its postgresql.conf",
            );
        }
    }
    match &ready.following {
        None => refuse(
            format!("{new}: no replay brings the queue's tables there"),
            "replay install there",
        ),
        Some(one) if Some(one.position.epoch) != ready.epoch => refuse(
            format!("{new} stands in another log than that of {old}"),
            "see replay status there",
        ),
        Some(one) => {
            if one.paused {
                refuse(format!("{new}: replay is paused"), "replay resume there");
            }
            if let Some(error) = &one.error {
                refuse(
                    format!("{new}: replay does not go on: {error}"),
                    "see replay status there",
                );
            }
            match ready.lag() {
                None => refuse(
                    format!("{new}: its place is not in the queue of {old}"),
                    "see replay status there",
                ),
                Some(lag) if lag > max_lag.as_secs_f64() => refuse(
                    format!(
                        "{new} lags {lag:.1} s, more than --max-lag {}",
                        max_lag.as_secs_f64()
                    ),
                    "wait until it has caught up: replay wait",
                ),
                Some(_) => {}
            }
        }
    }
    if !ready.replay_runs {
        refuse(
            format!("{new}: replay does not run"),
            "replay start -d there",
        );
    }
    if !ready.ticker_runs {
        refuse(
            format!("{new}: no ticker runs"),
            "ticker start -d there: a provider needs one",
        );
    }
    let of_old = ready.fence_obstacles.iter().map(|one| told(old, one));
    let of_new = ready.not_promotable.iter().map(|one| told(new, one));
    refused.extend(of_old.chain(of_new));
    refused
}
