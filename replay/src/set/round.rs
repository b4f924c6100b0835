//! One meeting of a node with all hosts of its config: tells each what the node's own database is, hears what each host
//! is, has the own database take that in, and chooses whom to follow.

use admin::config::{ReplayConfig, SubscriberConfig};
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    event_log,
    install::ownership::Schema,
    lost::Finding,
    meeting::{self, Answer, Heard, Introduction, Saying},
    provider::Places,
    role::{self, Role},
    subscriber::position::{self, Position, Stored, StoredError},
    successor,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    choose::{self, Choice, Host, Place, Round},
    met::{LIMIT, Met},
};
use crate::{archive::place::ArchivePlace, lost::Keeping, trouble::Trouble};

/// What a meeting is to the own database and the hosts.
pub(crate) struct Meeting {
    queue: String,
    name: ApplicationName,
    /// The node's own database; none: nothing of ours is there yet.
    own: Option<ConnectInfo>,
    own_session: Option<Session>,
    consumer: String,
    job: String,
    /// The archive that follows in place of a database.
    archive: Option<ArchivePlace>,
    /// The config says that the node may be a standby.
    standby: bool,
    /// What keeps lost changes; none: nothing of ours is in the own database yet.
    keeping: Option<Keeping>,
    hosts: Vec<Met>,
    current: Option<usize>,
}

/// What a meeting has found.
pub(super) struct Outcome {
    /// What the node does.
    pub choice: Choice,
    /// What was said.
    pub round: Round,
    /// Hosts that this meeting has fenced, or should have: their places, and how it went.
    pub fenced: Vec<(String, Heard)>,
    /// What came of what the hosts said, in the own database: it was fenced, or should have been.
    pub own_fenced: Option<Heard>,
    /// Why the own database has not taken in what a host said.
    pub unheard: Option<String>,
    /// Why hosts do not answer, by their number.
    pub silent: Vec<(usize, String)>,
}

impl Meeting {
    /// None: there is one host, or there are several subscribers, for which one choice cannot be right.
    pub(crate) fn of(config: &ReplayConfig) -> Option<Meeting> {
        let (db, consumer, archive) =
            match (config.subscribers.as_slice(), config.archives.as_slice()) {
                ([SubscriberConfig { db, consumer, .. }], _) => (Some(db), consumer, None),
                ([], [archive]) => {
                    let place = ArchivePlace {
                        address: archive.address.clone(),
                        job: config.daemon.job_name.clone(),
                        queue: config.queue.clone(),
                    };
                    (None, &archive.consumer, Some(place))
                }
                _ => return None,
            };
        let hosts = config.provider.hosts();
        if hosts.len() < 2 {
            return None;
        }
        let met = |info| Met {
            info,
            session: None,
            silent_since: None,
            last_term: 0,
            node: None,
        };
        Some(Meeting {
            queue: config.queue.clone(),
            name: ApplicationName::new(Purpose::Meeting, &config.daemon.job_name),
            own: db.cloned(),
            own_session: None,
            consumer: consumer.clone(),
            job: config.daemon.job_name.clone(),
            archive,
            standby: config.standby,
            keeping: db.map(|db| Keeping::of(config, db)),
            hosts: hosts.into_iter().map(met).collect(),
            current: None,
        })
    }

    /// The same for a node whose own database has nothing of ours yet.
    pub(crate) fn without_own(mut self) -> Meeting {
        self.own = None;
        self.keeping = None;
        self
    }

    /// As what is read.
    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// A host by its number.
    pub(super) fn host(&self, number: usize) -> Option<&ConnectInfo> {
        self.hosts.get(number).map(|host| &host.info)
    }

    /// Notes which host is followed now.
    pub(super) fn follow(&mut self, host: Option<usize>) {
        self.current = host;
    }

    /// Shows in status why nobody is followed, or that nothing is wrong. Status also says so by itself if the database
    /// cannot be asked.
    pub(super) async fn show(&self, error: Option<StoredError<'_>>) {
        let Some(own) = &self.own_session else { return };
        let shown = async {
            if position::is_installed(&**own).await? {
                position::show_error(&**own, &self.consumer, error).await?;
            }
            Ok::<_, sql::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(LIMIT, shown).await {
            let error = admin::exit::log_line(&error);
            debug!(consumer = %self.consumer, error, "the error is not shown in status");
        }
    }

    /// Makes the own database a standby of the provider that goes on where its log ends; gives that provider's term.
    pub(super) async fn join(&self, own: &Introduction) -> Result<i64, String> {
        if !self.standby {
            return Err("the config does not say standby = true".into());
        }
        let Some(session) = &self.own_session else {
            return Err("the own database does not answer".into());
        };
        let address = self.own_address(own);
        let job = &self.job;
        let joined = successor::join(
            &**session,
            &self.queue,
            &self.consumer,
            job,
            address.as_deref(),
        );
        match tokio::time::timeout(LIMIT, joined).await {
            Ok(joined) => joined.map_err(|error| admin::exit::log_line(&error)),
            Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
        }
    }

    /// Where the config finds this node itself; None: it does not name it.
    pub(super) fn own_address(&self, own: &Introduction) -> Option<String> {
        let hosts = self.hosts.iter();
        let is_own = |host: &&Met| own.node.is_some() && host.node == own.node;
        hosts.filter(is_own).map(|host| host.info.address()).next()
    }

    /// Has the programs beside this node told. The log has it in any case.
    pub(super) async fn tell_event(&self, event: &str, details: &str) {
        let Some(own) = &self.own_session else { return };
        let told = event_log::tell(&**own, &self.queue, event, false, details, None);
        if let Ok(Err(error)) = tokio::time::timeout(LIMIT, told).await {
            let error = admin::exit::log_line(&error);
            debug!(consumer = %self.consumer, error, "the event is not told");
        }
    }

    /// Keeps what a fenced node has taken that the later provider never had, here and on that provider; gives what
    /// waits for a person.
    ///
    /// # Errors
    /// Why it is not all kept.
    pub(super) async fn keep_lost(
        &self,
        round: &Round,
        stop: &CancellationToken,
    ) -> Result<Option<Finding>, Trouble> {
        let Some((keeping, own)) = self.keeping.as_ref().zip(self.own_session.as_ref()) else {
            return Ok(None);
        };
        keeping.find(own, stop).await?;
        let Some(finding) = keeping.waiting(own).await? else {
            return Ok(None);
        };
        let provider = round.provider().and_then(|number| self.host(number));
        if let Some(provider) = provider.filter(|_| !finding.sent) {
            keeping.send(&finding, provider).await?;
        }
        Ok(Some(finding))
    }

    /// Keeps the tables of a standby closed while nobody is followed, and no other task does.
    pub(super) async fn keep_closed(&self) {
        let Some(own) = &self.own_session else { return };
        let closed = role::follow_role(&**own, &self.queue);
        if let Ok(Err(error)) = tokio::time::timeout(LIMIT, closed).await {
            let error = admin::exit::log_line(&error);
            debug!(consumer = %self.consumer, error, "the role waits");
        }
    }

    /// Meets all hosts once.
    ///
    /// # Errors
    /// If the own database cannot be asked: then nobody knows what this node is.
    pub(super) async fn round(&mut self) -> Result<Outcome, Trouble> {
        let asked = async {
            let own = self.own_session().await?;
            let (saying, stored) = match &own {
                Some(own) => {
                    let stored = stored(own, &self.consumer).await?;
                    let stored = stored.filter(|stored| stored.queue == self.queue);
                    let said = meeting::introduce(&**own, &self.queue).await?;
                    (said, stored.map(Stands::of))
                }
                None => (None, self.of_archive()),
            };
            Ok::<_, Trouble>((own, saying, stored))
        };
        // A session that was in use when the time was up is given up.
        let (own, saying, stored) = in_time(asked).await?;
        if self.current.is_none() {
            // Whom the daemon follows, or followed when it ended last.
            let address = stored.as_ref().and_then(|stored| stored.address.as_ref());
            self.current = address.and_then(|address| {
                let mut hosts = self.hosts.iter();
                hosts.position(|host| host.info.address() == *address)
            });
        }
        let told = saying.as_ref().map(|saying| saying.json.as_str());
        let (queue, name) = (self.queue.as_str(), &self.name);
        let asked = self
            .hosts
            .iter_mut()
            .map(|host| host.meet(queue, name, told));
        let answers = futures::future::join_all(asked).await;
        let mut outcome = Outcome {
            choice: Choice::Stay,
            round: Round {
                own: saying.map(|saying: Saying| saying.is),
                epoch: stored.as_ref().map(|stored| stored.position.epoch),
                hosts: Vec::new(),
                current: self.current,
            },
            fenced: Vec::new(),
            own_fenced: None,
            unheard: None,
            silent: Vec::new(),
        };
        for (number, answer) in answers.into_iter().enumerate() {
            self.heard(own.as_ref(), number, answer, &mut outcome).await;
        }
        self.own_session = own;
        outcome.choice = self.choose(&mut outcome.round, stored.as_ref()).await?;
        Ok(outcome)
    }

    /// Where the archive ends; none: there is none, or it cannot be read, which its own loop tells.
    fn of_archive(&self) -> Option<Stands> {
        let position = self.archive.as_ref()?.end().ok()?;
        Some(Stands {
            position,
            origins: None,
            address: None,
        })
    }

    async fn own_session(&mut self) -> Result<Option<Session>, Trouble> {
        let open = self.own_session.take();
        match (open.filter(|session| !session.is_closed()), &self.own) {
            (Some(session), _) => Ok(Some(session)),
            (None, None) => Ok(None),
            (None, Some(own)) => own
                .connect_for(&self.name, Schema::SUBSCRIBER)
                .await
                .map(Some)
                .map_err(Trouble::connect("subscriber")),
        }
    }

    /// Takes an answer in.
    async fn heard(
        &self,
        own: Option<&Session>,
        number: usize,
        answer: Result<(Answer, Option<String>), String>,
        outcome: &mut Outcome,
    ) {
        let Some(host) = self.hosts.get(number) else {
            return;
        };
        let title = host.info.place();
        let said = match answer {
            Err(why) => {
                outcome.silent.push((number, why));
                let since = host.silent_since.map(|since| since.elapsed());
                Err(since.unwrap_or_default())
            }
            Ok((answer, json)) => {
                if let (Some(json), Some(own)) = (json, own)
                    && outcome.round.own.is_some()
                {
                    match self.hear(own, &json).await {
                        Ok(None) => {}
                        Ok(Some(heard)) => outcome.own_fenced = Some(heard),
                        Err(error) => outcome.unheard = Some(error),
                    }
                }
                if let Some(heard) = answer.heard {
                    outcome.fenced.push((title.clone(), heard));
                }
                Ok(answer.is)
            }
        };
        outcome.round.hosts.push(Host {
            title,
            said,
            last_term: host.last_term,
            place: Place::Unknown,
        });
    }

    /// Has the own database take in what a host says.
    async fn hear(&self, own: &Session, said: &str) -> Result<Option<Heard>, String> {
        let heard = meeting::hear(&**own, &self.queue, said);
        match tokio::time::timeout(LIMIT, heard).await {
            Ok(heard) => heard.map_err(|error| admin::exit::log_line(&error)),
            // The next meeting finds the session in use, and gives it up.
            Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
        }
    }

    async fn choose(
        &mut self,
        round: &mut Round,
        stored: Option<&Stands>,
    ) -> Result<Choice, Trouble> {
        // Each time some hosts more have been asked.
        for _ in 0..=round.hosts.len() {
            let choice = choose::choose(round);
            let Choice::Ask(numbers) = choice else {
                return Ok(choice);
            };
            let Some(stored) = stored else {
                return Err(Trouble::Stale);
            };
            let places = Places::of(stored.position, stored.origins.as_deref())?;
            for number in numbers {
                let is_provider = round.hosts.get(number).is_some_and(|host| {
                    let said = host.said.as_ref();
                    said.is_ok_and(|one| one.role == Some(Role::Provider))
                });
                let place = match self.hosts.get_mut(number) {
                    None => Place::None("it is no host of the config".into()),
                    Some(host) if self.archive.is_none() => {
                        let found = host.place_of(&self.queue, &places).await;
                        found.map_or_else(Place::None, |_| Place::Found)
                    }
                    Some(host) => {
                        host.place_of_archive(&self.queue, &places, is_provider)
                            .await
                    }
                };
                if let Some(host) = round.hosts.get_mut(number) {
                    host.place = place;
                }
            }
        }
        Err(Trouble::Stale)
    }
}

/// The own database is waited for as long as a host: a meeting with the others is not held up by it.
async fn in_time<T>(asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let silent = |_| {
        let why = anyhow::anyhow!("no answer within {} s", LIMIT.as_secs());
        Trouble::passing("could not ask the own database", why)
    };
    tokio::time::timeout(LIMIT, asked).await.map_err(silent)?
}

async fn stored(own: &Session, consumer: &str) -> Result<Option<Stored>, Trouble> {
    let installed = position::is_installed(&**own).await;
    if !installed.map_err(Trouble::sql("could not look for replay's tables"))? {
        return Ok(None);
    }
    Ok(position::find(&**own, consumer).await?)
}

/// Where the job stands, and whom it has followed.
struct Stands {
    position: Position,
    origins: Option<String>,
    address: Option<String>,
}

impl Stands {
    fn of(stored: Stored) -> Stands {
        Stands {
            position: stored.position,
            origins: stored.origins,
            address: stored.address,
        }
    }
}
