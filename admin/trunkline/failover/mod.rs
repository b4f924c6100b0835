//! `trunkline failover`: makes a standby the provider in the place of one that is off. `plan` decides, `run` begins,
//! `ask` asks before and `tell` tells, `off` sees that the provider is off, `steps` leads from one step to the next,
//! `held` holds the nodes where they stand, `unwind` takes back, `left` is about an operation whose command has died;
//! the rest is `topology`'s. What has been done stands in `trunkline.operation` on each node that answers.

mod args;
mod ask;
mod held;
mod left;
mod off;
mod plan;
mod run;
mod setup;
mod steps;
mod tell;
mod unwind;

pub(crate) use args::{FailoverArgs, LossArgs};
pub(crate) use plan::has_provider;
pub(crate) use run::run;
