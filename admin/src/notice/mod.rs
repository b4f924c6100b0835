//! Commands of the operator that are run when something has happened: their words, in which letters stand for values,
//! and a run with a time limit. Nothing here knows a database.
//!
//! A command is split into words as a shell would do it, once, when the config is read. The values are put into these
//! words later, and the program is started with them as they are. So nothing that a value holds is ever read by a
//! shell.

mod run;
mod words;

pub use run::{Ended, run_until, run_within};
pub use words::{Command, Letter, Values};
