//! `trunkline switchover`: makes a standby the provider in the place of the one that is, as planned. `plan` decides,
//! `run` leads from one step to the next, `prepare` asks before, `forward` and `follow` do, `unwind` takes back,
//! `hosts` are asked, `hook` runs the operator's commands. What has been done stands in `trunkline.operation` on both
//! nodes.

mod args;
mod follow;
mod forward;
mod hook;
mod hosts;
mod plan;
mod prepare;
mod run;
mod unwind;
mod work;
mod writers;

pub(crate) use args::SwitchoverArgs;
pub(crate) use run::run;
