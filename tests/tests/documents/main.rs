//! What the files of the repository say, held against each other and against the programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod aggregates;
mod alerts;
mod blocks;
mod circles;
mod commands;
mod exit_codes;
mod links;
mod log_lines;
mod moves;
mod pages;
mod runs;
mod rust;
mod tidy;
