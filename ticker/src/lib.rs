//! The ticker: ticks, rotation and retry beside the provider, for any number of databases of one server.
//!
//! One supervisor ([`cli`] starts it) keeps a loop for each database. A loop ticks, and its upkeep rotates and retries
//! on a connection of its own. Every decision is made from what the database says in that turn.

pub mod cli;

mod database;
mod database_loop;
mod databases;
mod history;
mod holders;
mod http;
mod install;
mod metrics;
mod pace;
mod retry;
mod rotate;
mod shapes;
mod stats;
mod status;
mod supervisor;
mod tick;
mod tries;
mod trouble;
mod upkeep;
mod watched;
