//! One subscriber of the daemon: its life over outages, its batch loop, and the tasks of its tables.

pub(crate) mod above;
pub(crate) mod batch_loop;
pub(crate) mod followed;
pub(crate) mod heard;
pub(crate) mod hold;
pub(crate) mod hop;
pub(crate) mod in_sync;
mod keep_role;
pub(crate) mod life;
pub(crate) mod progress;
mod ready;
pub(crate) mod refused;
pub(crate) mod scripts;
pub(crate) mod sequences;
pub(crate) mod shared;
pub(crate) mod stats;
pub(crate) mod tables;
mod tell;
pub(crate) mod told;
