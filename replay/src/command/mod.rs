//! The commands that ask the databases, one a file. They work beside a running daemon, which reads the results from the
//! databases.

pub(crate) mod add;
pub(crate) mod adopt;
pub(crate) mod archive;
pub(crate) mod base;
pub(crate) mod compare;
mod create;
pub(crate) mod execute;
pub(crate) mod install;
pub(crate) mod lost;
pub(crate) mod missing;
pub(crate) mod pause;
pub(crate) mod rejoin;
pub(crate) mod remove;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod restore_ddl;
pub(crate) mod resync;
pub(crate) mod sequences;
pub(crate) mod skip;
pub(crate) mod status;
mod subscriber;
pub(crate) mod tables;
pub(crate) mod uninstall;
pub(crate) mod upgrade;
pub(crate) mod wait;

use admin::{
    cli::{self, CommonArgs},
    config::{ArchiveConfig, ReplayConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::{ApplicationName, ConnectError, ConnectInfo, Purpose, Session},
    install::ownership::Schema,
    near, provider, queue,
    subscriber::position::{self, Stored},
};

use crate::set::host::{self, Found};

/// What to do about a position in another queue than that of the config.
pub(crate) const OTHER_QUEUE: &str = "put pgq_queue_name right; to follow another queue, \
    first take the tables out of the job: replay remove --all";

/// A command's job: its config, and how much the command prints.
pub(crate) struct Job {
    config: ReplayConfig,
    common: CommonArgs,
}

impl Job {
    /// The job of a config file.
    pub(crate) fn new(config: ReplayConfig, common: CommonArgs) -> Job {
        Job { config, common }
    }

    /// The job at the one host that it follows, where its config names several.
    ///
    /// # Errors
    /// [`Exit::Failed`] where nobody can be followed, or the job's own database is the provider.
    pub(crate) async fn at_host(&self) -> Result<Job, Failure> {
        match host::find(&self.config, false).await? {
            Some(Found::Host(host)) => Ok(self.at(host)),
            Some(Found::Own(role)) => {
                let text = format!(
                    "nothing was done: this database is {} for queue {}, and gets no tables by replay",
                    role.as_str(),
                    self.queue()
                );
                Err(Failure::message(Exit::Failed, text))
            }
            Some(Found::Silence) | None => Ok(self.at(self.config.provider.clone())),
        }
    }

    /// The job with another provider.
    fn at(&self, provider: ConnectInfo) -> Job {
        let config = ReplayConfig {
            provider,
            ..self.config.clone()
        };
        Job::new(config, self.common.clone())
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

    /// A session to the provider, where our schemas are proven.
    async fn provider(&self) -> Result<Session, ConnectError> {
        let name = ApplicationName::new(Purpose::Admin, self.name());
        self.config
            .provider
            .connect_for(&name, Schema::PROVIDER)
            .await
    }

    /// Checks that the provider has queues at all; the error says so if it has none.
    async fn has_schema(&self, provider: &Session) -> Result<(), Failure> {
        let installed = queue::is_installed(&**provider)
            .await
            .context("could not ask the provider")?;
        if installed {
            return Ok(());
        }
        let database = self.config.provider.dbname();
        Err(Failure::message(
            Exit::Failed,
            format!("the provider (database {database}) has no schema pgq"),
        )
        .with_hint("run there: ticker install"))
    }

    /// Checks that the provider has the queue that the config names; the error says so if it does not.
    async fn has_queue(&self, provider: &Session) -> Result<(), Failure> {
        self.has_schema(provider).await?;
        let there = queue::exists(&**provider, self.queue())
            .await
            .context("could not ask the provider for the queue")?;
        if there {
            return Ok(());
        }
        let near = queue::did_you_mean(&**provider, self.queue()).await;
        Err(Failure::message(
            Exit::Failed,
            format!("the provider has no queue {}{near}", self.queue()),
        )
        .with_hint("put pgq_queue_name right, or run: replay install"))
    }

    /// Checks that a subscriber's position is in the queue that the config names. A wrong letter in the config must not
    /// be taken for a queue that has lost its consumer.
    fn is_of_queue(&self, one: &SubscriberConfig, stored: &Stored) -> Result<(), Failure> {
        if stored.queue == self.queue() {
            return Ok(());
        }
        Err(Failure::message(
            Exit::Usage,
            format!(
                "{}: pgq_queue_name is {}, and the position of {} is one in queue {}",
                self.config.daemon.config_file.display(),
                self.queue(),
                label(one),
                stored.queue
            ),
        )
        .with_hint(OTHER_QUEUE))
    }

    /// Checks that a subscriber's position is one in the queue of this provider. Else the subscriber has not moved to
    /// the provider, and its tables are known by the numbers that they have at another one.
    async fn is_followed(
        &self,
        provider: &Session,
        one: &SubscriberConfig,
        subscriber: &Session,
    ) -> Result<(), Failure> {
        let stored = stored(subscriber, one).await?;
        let epoch = provider::queue_epoch(&**provider, self.queue()).await?;
        if epoch.is_none_or(|epoch| epoch == stored.position.epoch) {
            return Ok(());
        }
        Err(Failure::message(
            Exit::Failed,
            format!(
                "nothing was done: {} has not moved to this provider: its position is one in another queue",
                label(one)
            ),
        )
        .with_hint("start replay, which moves there if it can; replay status says whom it follows"))
    }

    /// A session to a subscriber, where our schemas are proven.
    async fn subscriber(&self, one: &SubscriberConfig) -> Result<Session, ConnectError> {
        let name = ApplicationName::new(Purpose::Admin, self.name());
        one.db.connect_for(&name, Schema::SUBSCRIBER).await
    }

    /// A session to a subscriber that may have none of our schemas. Only functions that prove the schemas themselves
    /// may be called in it.
    async fn bare_subscriber(&self, one: &SubscriberConfig) -> Result<Session, ConnectError> {
        let name = ApplicationName::new(Purpose::Admin, self.name());
        one.db.connect(&name).await
    }

    /// The databases that a command is about: all, or the subscriber with this name.
    ///
    /// # Errors
    /// [`Exit::Usage`] for an archive, and where all subscribers are archives: the command does nothing with one.
    fn subscribers(&self, name: Option<&str>) -> Result<Vec<&SubscriberConfig>, Failure> {
        let takers = self.takers(name)?;
        if takers.subscribers.is_empty() {
            let names: Vec<&str> = takers
                .archives
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            let text = format!(
                "{} is an archive, and this command is for databases",
                names.join(", ")
            );
            return Err(Failure::message(Exit::Usage, text));
        }
        Ok(takers.subscribers)
    }

    /// The subscribers of either kind that a command is about: all, or the subscriber with this name.
    fn takers(&self, name: Option<&str>) -> Result<Takers<'_>, Failure> {
        let (subscribers, archives) = (self.config.subscribers.iter(), self.config.archives.iter());
        let is_meant = |of: Option<&str>| name.is_none_or(|name| of == Some(name));
        let chosen = Takers {
            subscribers: subscribers
                .filter(|one| is_meant(one.name.as_deref()))
                .collect(),
            archives: archives.filter(|one| is_meant(Some(&one.name))).collect(),
        };
        if chosen.subscribers.is_empty() && chosen.archives.is_empty() {
            // Without a name all subscribers are chosen, and a config has at least one.
            let name = name.unwrap_or_default();
            let names = self.config.subscribers.iter();
            let names = names.filter_map(|one| one.name.as_deref());
            let archives = self.config.archives.iter().map(|one| one.name.as_str());
            let near = near::name(name, names.chain(archives));
            return Err(Failure::message(
                Exit::Usage,
                format!(
                    "{}: no subscriber is named {name}{}",
                    self.config.daemon.config_file.display(),
                    near::did_you_mean(near)
                ),
            ));
        }
        Ok(chosen)
    }

    /// Prints what was done, unless the command was told to be quiet.
    fn say(&self, line: &str) -> Result<(), Failure> {
        cli::say(&self.common, line)
    }
}

/// The subscribers that a command is about.
struct Takers<'a> {
    subscribers: Vec<&'a SubscriberConfig>,
    archives: Vec<&'a ArchiveConfig>,
}

/// The login of the user of this system, as its environment says.
fn told_by() -> Option<String> {
    let mut names = ["SUDO_USER", "LOGNAME", "USER"].into_iter();
    names.find_map(|name| std::env::var(name).ok())
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
