//! Configuration, daemon control, logs and output of the three programs. Uses `sql` to connect;
//! knows nothing of ticks or changes.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod documents;
pub mod exit;
pub mod log;
pub mod output;
mod own_file;
pub mod status;
