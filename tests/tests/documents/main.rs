//! What the documents say, held against the files and the programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod blocks;
mod exit_codes;
mod links;
mod log_lines;
mod pages;
mod runs;
