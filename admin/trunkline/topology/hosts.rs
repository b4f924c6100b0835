//! The hosts of a set: a session to each, opened again when it breaks, and questions that end in time.

use std::collections::BTreeSet;
use std::time::Duration;

use admin::config::{AnyConfig, ReplayConfig};
use admin::exit::{Exit, Failure, one_line};
use futures::future::join_all;
use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use sql::install::ownership::Schema;
use sql::meeting;
use sql::moment::LockTimeout as _;
use sql::operation;
use sql::queue::lineage::NodeId;
use sql::role;
use sql::subscriber::path;
use tokio_postgres::error::SqlState;

use super::facts::{HostFacts, NodeFacts};

/// How long one question may take. A server that hangs accepts connections, and never answers.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The server refused: nothing has changed there.
    Refused(sql::Error),
    /// There was no answer: what was asked for may have been done.
    Lost(String),
}

impl Unanswered {
    /// Whether others held a lock.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        match self {
            Unanswered::Refused(error) => error.is_lock_timeout(),
            Unanswered::Lost(_) => false,
        }
    }

    /// Whether an object is in use, such as an operation that runs.
    pub(crate) fn is_in_use(&self) -> bool {
        match self {
            Unanswered::Refused(error) => error.code() == Some(&SqlState::OBJECT_IN_USE),
            Unanswered::Lost(_) => false,
        }
    }

    /// On one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Unanswered::Refused(error) => one_line(error),
            Unanswered::Lost(why) => why.clone(),
        }
    }
}

/// A host, and the session to it.
pub(crate) struct Host {
    /// Where it is; several: hosts that did not answer, of which it is one.
    places: Vec<ConnectInfo>,
    name: ApplicationName,
    /// Who it has to be; None: anybody.
    node: Option<NodeId>,
    session: Option<Session>,
}

impl Host {
    /// Host and port, for messages.
    pub(crate) fn title(&self) -> String {
        let places: Vec<String> = self.places.iter().map(ConnectInfo::place).collect();
        places.join(" or ")
    }

    /// The same host, from now on for this node only.
    pub(crate) fn of_node(self, node: NodeId) -> Host {
        Host {
            node: Some(node),
            ..self
        }
    }

    /// The same host, without a session.
    pub(crate) fn again(&self) -> Host {
        Host {
            places: self.places.clone(),
            name: self.name.clone(),
            node: self.node,
            session: None,
        }
    }

    /// A node that is behind one of these hosts, should that one answer again.
    pub(crate) fn among(silent: &[Host], name: &ApplicationName, node: NodeId) -> Host {
        Host {
            places: silent.iter().flat_map(|host| host.places.clone()).collect(),
            name: name.clone(),
            node: Some(node),
            session: None,
        }
    }

    /// Asks the host, for [`LIMIT`] at most.
    pub(crate) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Session) -> Result<T, sql::Error>,
    ) -> Result<T, Unanswered> {
        self.ask_within(LIMIT, question).await
    }

    /// Asks the host. A session that was in use when it broke, or when the time was up, is given up, and the next
    /// question opens another one.
    pub(crate) async fn ask_within<T>(
        &mut self,
        limit: Duration,
        question: impl AsyncFnOnce(&mut Session) -> Result<T, sql::Error>,
    ) -> Result<T, Unanswered> {
        let open = self.session.take().filter(|session| !session.is_closed());
        let here = &*self;
        let asking = async {
            let mut session = match open {
                Some(session) => session,
                None => here.open().await.map_err(Unanswered::Lost)?,
            };
            match question(&mut session).await {
                Ok(answer) => Ok((session, Ok(answer))),
                Err(error) if is_refusal(&error) => Ok((session, Err(error))),
                Err(error) => Err(Unanswered::Lost(one_line(&error))),
            }
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(Ok((session, answer))) => {
                self.session = Some(session);
                answer.map_err(Unanswered::Refused)
            }
            Ok(Err(lost)) => Err(lost),
            Err(_) => Err(Unanswered::Lost(format!(
                "no answer within {} s",
                limit.as_secs()
            ))),
        }
    }

    /// A session to the node. Behind an address there may be another node than before: what the one says is not asked
    /// of the other.
    async fn open(&self) -> Result<Session, String> {
        let mut why = "no host of the config is this node".to_owned();
        for place in &self.places {
            match place.connect_for(&self.name, Schema::PROVIDER).await {
                Err(error) => why = one_line(&error),
                Ok(session) => match self.is_meant(&session).await {
                    Ok(true) => return Ok(session),
                    Ok(false) => why = format!("{} is another node", place.place()),
                    Err(error) => why = one_line(&error),
                },
            }
        }
        Err(why)
    }

    /// Whether a session is to the node that it has to be: a copy that was restored elsewhere has its identity, too.
    async fn is_meant(&self, session: &Session) -> Result<bool, sql::Error> {
        let Some(node) = self.node else {
            return Ok(true);
        };
        let own = path::own_node(&**session).await?;
        Ok(own == Some(node) && !role::is_copy(&**session).await?)
    }

    /// What the node says of itself, and of operations.
    pub(crate) async fn facts(&mut self, queue: &str) -> HostFacts {
        let said = self.ask(async |session| {
            let met = meeting::meet(&**session, queue, None).await?;
            let operations = operation::list(&**session, Some(queue)).await?;
            Ok(met.map(|(answer, _)| NodeFacts {
                is: answer.is,
                operations,
            }))
        });
        let said = match said.await {
            Ok(Some(facts)) => Ok(facts),
            Ok(None) => Err("what is installed there does not know of sets".to_owned()),
            Err(unanswered) => Err(unanswered.text()),
        };
        HostFacts {
            title: self.title(),
            said,
        }
    }
}

/// Whether the server has answered, or the question was not asked at all.
fn is_refusal(error: &sql::Error) -> bool {
    let is_shutdown = |code: &str| code.starts_with("57P") || code.starts_with("08");
    match error {
        sql::Error::Database { .. } => error
            .answer()
            .is_some_and(|answer| !is_shutdown(answer.code().code())),
        sql::Error::ForeignSchema { .. }
        | sql::Error::Extension { .. }
        | sql::Error::Stranger { .. }
        | sql::Error::NotInstalled { .. }
        | sql::Error::NewerInstall { .. }
        | sql::Error::Manifest(_)
        | sql::Error::Unexpected(_) => true,
    }
}

/// The one config whose queue this is.
///
/// # Errors
/// [`Exit::Usage`]: no replay.toml is of this queue, or several are.
pub(crate) fn config_of<'a>(
    configs: &'a [AnyConfig],
    queue: &str,
) -> Result<&'a ReplayConfig, Failure> {
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) if replay.queue == queue => Some(&**replay),
        AnyConfig::Replay(_) | AnyConfig::Ticker(_) => None,
    });
    let replays: Vec<&ReplayConfig> = replays.collect();
    let wrong = |what: &str| {
        Err(Failure::message(Exit::Usage, format!("{what} {queue}"))
            .with_hint("-c names the replay.toml of a node of the set"))
    };
    match replays.as_slice() {
        [] => wrong("no config file is a replay's of queue"),
        [one] => Ok(*one),
        _ => wrong("more than one config file is a replay's of queue"),
    }
}

/// The configs of this queue, or of all queues: one for each.
///
/// # Errors
/// [`Exit::Usage`]: none is a replay's, or several are of one queue.
pub(crate) fn configs_of<'a>(
    configs: &'a [AnyConfig],
    queue: Option<&str>,
) -> Result<Vec<&'a ReplayConfig>, Failure> {
    if let Some(queue) = queue {
        return config_of(configs, queue).map(|one| vec![one]);
    }
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) => Some(replay.queue.as_str()),
        AnyConfig::Ticker(_) => None,
    });
    let queues: BTreeSet<&str> = replays.collect();
    if queues.is_empty() {
        let what = "no config file is a replay's";
        return Err(Failure::message(Exit::Usage, what)
            .with_hint("-c names the replay.toml of a node of the set, or a directory of them"));
    }
    let each = queues.into_iter().map(|queue| config_of(configs, queue));
    each.collect()
}

/// The hosts that a config names, at least two, and what sessions to them are called.
///
/// # Errors
/// [`Exit::Usage`]: it names one host.
pub(crate) fn of_config(replay: &ReplayConfig) -> Result<(ApplicationName, Vec<Host>), Failure> {
    let hosts = replay.provider.hosts();
    if hosts.len() < 2 {
        let what = format!(
            "{}: provider_db names one host, and the set has several",
            replay.daemon.config_file.display()
        );
        return Err(Failure::message(Exit::Usage, what)
            .with_hint("name all hosts there, on each of them: host=castor,pollux"));
    }
    let name = ApplicationName::new(Purpose::Operator, &replay.daemon.job_name);
    let host = |info| Host {
        places: vec![info],
        name: name.clone(),
        node: None,
        session: None,
    };
    let hosts = hosts.into_iter().map(host).collect();
    Ok((name, hosts))
}

/// What all hosts say.
pub(crate) async fn facts_of(hosts: &mut [Host], queue: &str) -> Vec<HostFacts> {
    join_all(hosts.iter_mut().map(|host| host.facts(queue))).await
}
