//! `trunkline switchover`: makes a standby the provider in the place of the one that is, as planned. `plan` decides,
//! `run` says what is to be done for which queues, `drive` leads from one step to the next, `prepare` asks before,
//! `forward` does, `unwind` takes back; the rest is `topology`'s. What has been done stands in `trunkline.operation` on
//! both nodes.

mod args;
mod drive;
mod forward;
mod plan;
mod prepare;
mod run;
mod unwind;
mod verify;
mod writers;

pub(crate) use args::SwitchoverArgs;
pub(crate) use run::run;
