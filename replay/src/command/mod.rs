//! The commands that ask the databases, one a file. They work beside a running daemon, which
//! reads the databases for itself.

pub(crate) mod add;
pub(crate) mod adopt;
pub(crate) mod choose;
mod create;
pub(crate) mod fit;
pub(crate) mod install;
pub(crate) mod missing;
mod opened;
pub(crate) mod pause;
pub(crate) mod remove;
pub(crate) mod restore_ddl;
pub(crate) mod resync;
pub(crate) mod sequences;
pub(crate) mod skip;
pub(crate) mod status;
pub(crate) mod tables;
mod turns;
mod types;
pub(crate) mod wait;
mod wishes;

use admin::{
    cli::{self, CommonArgs},
    config::{ReplayConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::{ConnectError, Session},
    ownership::Schema,
    position::{self, Stored},
};

use crate::subscription::application_name;

/// A command's job: its config and how much it says.
pub(crate) struct Job {
    config: ReplayConfig,
    common: CommonArgs,
}

impl Job {
    /// The job of a config file.
    pub(crate) fn new(config: ReplayConfig, common: CommonArgs) -> Job {
        Job { config, common }
    }

    /// The options that every command takes.
    pub(crate) fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn name(&self) -> &str {
        &self.config.daemon.job_name
    }

    fn queue(&self) -> &str {
        &self.config.queue
    }

    /// A session to the provider, whose objects of ours are proven.
    async fn provider(&self) -> Result<Session, ConnectError> {
        let name = application_name("admin", self.name());
        self.config
            .provider
            .connect_for(&name, Schema::PROVIDER)
            .await
    }

    /// A session to a subscriber, whose objects of ours are proven.
    async fn subscriber(&self, one: &SubscriberConfig) -> Result<Session, ConnectError> {
        let name = application_name("admin", self.name());
        one.db.connect_for(&name, Schema::SUBSCRIBER).await
    }

    /// A session to a subscriber that nothing may be installed on. Only what proves by itself may be called in it.
    async fn bare_subscriber(&self, one: &SubscriberConfig) -> Result<Session, ConnectError> {
        let name = application_name("admin", self.name());
        one.db.connect(&name).await
    }

    /// The subscribers that a command is about: all, or the one of that name.
    fn subscribers(&self, name: Option<&str>) -> Result<Vec<&SubscriberConfig>, Failure> {
        let chosen: Vec<&SubscriberConfig> = self
            .config
            .subscribers
            .iter()
            .filter(|one| name.is_none_or(|name| one.name.as_deref() == Some(name)))
            .collect();
        if chosen.is_empty() {
            return Err(Failure::message(
                Exit::Usage,
                format!(
                    "{}: no subscriber is named {}",
                    self.config.daemon.config_file.display(),
                    // Without a name all are chosen, and a config has one at least.
                    name.unwrap_or_default()
                ),
            ));
        }
        Ok(chosen)
    }

    /// Says what was done, unless told to be quiet.
    fn say(&self, line: &str) -> Result<(), Failure> {
        cli::say(&self.common, line)
    }
}

/// A subscriber's name in messages.
fn label(one: &SubscriberConfig) -> String {
    match &one.name {
        Some(name) => format!("subscriber {name}"),
        None => "the subscriber".into(),
    }
}

/// The stored position of a subscriber, which `install` has made.
async fn stored(subscriber: &Session, one: &SubscriberConfig) -> Result<Stored, Failure> {
    let not_installed = || {
        Failure::message(
            Exit::Failed,
            format!(
                "consumer {} is not installed on {}",
                one.consumer,
                label(one)
            ),
        )
        .with_hint("run: replay install")
    };
    let there = position::is_installed(&**subscriber)
        .await
        .with_context(|| format!("could not ask {}", label(one)))?;
    if !there {
        return Err(not_installed());
    }
    position::find(&**subscriber, &one.consumer)
        .await
        .with_context(|| format!("could not read the position on {}", label(one)))?
        .ok_or_else(not_installed)
}
