//! What the files of the repository say, held against each other and against the programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod aggregates;
mod blocks;
mod circles;
mod exit_codes;
mod links;
mod log_lines;
mod pages;
mod runs;
mod rust;
mod tidy;
