//! What an operator meets in each of the three programs: configuration, daemon control, logs, output, exit codes, and
//! the status of everything.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod databases;
pub mod documents;
pub mod exit;
pub mod http;
mod journal;
pub mod log;
pub mod notice;
pub mod output;
pub mod own_file;
pub mod page;
pub mod programs;
pub mod status;
pub mod terminal;
