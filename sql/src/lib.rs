//! The queue and capture objects, and typed wrappers around them.
//!
//! The base of every other package: it knows PostgreSQL and nothing of config files, terminals or log formats.

pub mod consumer;
pub mod error;
pub mod install;
pub mod maintenance;
pub mod manifest;
pub mod queue;
pub mod tick;

pub use error::{Class, Error, classify};

pub mod connect;
mod connect_error;
mod conninfo;
mod keywords;
mod passfile;
mod service;
mod session;
mod settings;
pub mod standing;
mod tls;
mod verify;
mod verify_v1;

pub mod event;
pub mod name;
pub mod row;
pub mod shape;

pub mod conflict;
pub mod position;
pub mod provider;
pub mod sequence_state;
pub mod table_state;
