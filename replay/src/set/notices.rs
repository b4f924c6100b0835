//! The task that tells the programs beside a node what happens in its set. It logs each event of the node's own
//! database and runs the operator's command for the event, and it runs another command with the provider, whenever the
//! provider is another one.
//!
//! An event is marked when its command has ended with 0, so a process that dies meanwhile runs the command again, and
//! loses no event. The provider is a state: the command is run for the state that is, and after each start of the
//! daemon.

use std::time::{Duration, Instant};

use admin::{
    config::{ProgramsConfig, ReplayConfig},
    daemon::{self, Rests, Turn},
    log::Once,
    notice::{Ended, Letter, Values},
};
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    daemon_lock::DaemonLock,
    event_log::{self, KnownProvider, Untold},
    install::ownership::Schema,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::round::Meeting;
use crate::trouble::Trouble;

/// Time between two looks for events and for the provider.
const LOOK: Duration = Duration::from_secs(1);

/// Time between two looks whether roles are installed.
const INSTALLED: Duration = Duration::from_secs(10);

/// The shortest rest after a command that has failed; each further rest in a row is longer, up to `retry_delay`.
const FIRST_REST: Duration = Duration::from_secs(1);

/// How long the task may take to end. A command is ended with it, and run again later.
const END: Duration = Duration::from_secs(3);

/// What is told, until the value is dropped.
pub(crate) struct Notices {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Notices {
    /// Begins to tell; None where the config is of no node of a set.
    pub(crate) fn start(config: &ReplayConfig, stop: &CancellationToken) -> Option<Notices> {
        let [own] = config.subscribers.as_slice() else {
            return None;
        };
        if !config.is_member() && Meeting::of(config).is_none() {
            return None;
        }
        let teller = Teller {
            own: own.db.clone(),
            name: ApplicationName::new(Purpose::Events, &config.daemon.job_name),
            queue: config.queue.clone(),
            programs: config.programs.clone(),
            retry_delay: config.retry_delay,
            stop: stop.child_token(),
        };
        let stop = teller.stop.clone();
        let mut task = JoinSet::new();
        task.spawn(teller.run());
        Some(Notices { stop, task })
    }

    /// Ends the task, and with it a command that takes longer.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(END, self.task.join_next()).await;
    }
}

struct Teller {
    own: ConnectInfo,
    name: ApplicationName,
    queue: String,
    programs: ProgramsConfig,
    retry_delay: Duration,
    stop: CancellationToken,
}

impl Teller {
    async fn run(self) {
        let mut redirection = Redirection::default();
        let mut said = Once::default();
        let mut rests = self.rests();
        while !self.stop.is_cancelled() {
            if let Err(trouble) = self.once(&mut redirection, &mut rests).await {
                let error = trouble.log_line();
                match trouble {
                    Trouble::Operator { .. } if said.say((), &error) => {
                        warn!(%error, advice = GRANT, "events cannot be told");
                    }
                    // The other tasks meet the same trouble, and report it.
                    Trouble::Operator { .. }
                    | Trouble::Passing { .. }
                    | Trouble::Table(_)
                    | Trouble::Stale => debug!(%error, "events wait"),
                }
            }
            self.pause(rests.next_rest()).await;
        }
    }

    fn rests(&self) -> Rests {
        Rests::new(FIRST_REST, self.retry_delay)
    }

    /// Waits, until the daemon stops at most.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Tells with one session, until it breaks or the daemon stops.
    async fn once(&self, redirection: &mut Redirection, rests: &mut Rests) -> Result<(), Trouble> {
        let connected = self.own.connect_for(&self.name, Schema::SUBSCRIBER).await;
        let session = connected.map_err(Trouble::connect("subscriber"))?;
        let doing = "could not look for events";
        while !event_log::is_installed(&*session)
            .await
            .map_err(Trouble::sql(doing))?
        {
            self.pause(INSTALLED).await;
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
        let lock = DaemonLock::Events { queue: &self.queue };
        let turn = daemon::take_turn(&session, lock, &self.stop, || {}).await;
        match turn.map_err(Trouble::sql(doing))? {
            Turn::Taken { .. } => *rests = self.rests(),
            Turn::Stopped => return Ok(()),
        }
        // If one of them fails, a command of the other one is still waited for.
        let (told, redirected) =
            futures::future::join(self.tell(&session), self.redirect(&session, redirection)).await;
        told.and(redirected)
    }

    /// Tells the events, the oldest first.
    async fn tell(&self, session: &Session) -> Result<(), Trouble> {
        let doing = "could not tell an event";
        let mut rests = self.rests();
        let mut said = Once::default();
        while !self.stop.is_cancelled() {
            let next = event_log::next(&**session, &self.queue).await;
            let Some(event) = next.map_err(Trouble::sql(doing))? else {
                self.pause(LOOK).await;
                continue;
            };
            let error = self.tell_one(&event, &mut said).await;
            if self.stop.is_cancelled() && error.is_some() {
                return Ok(());
            }
            event_log::mark(&**session, event.id, error.as_deref())
                .await
                .map_err(Trouble::sql(doing))?;
            match error {
                None => rests = self.rests(),
                Some(_) => self.pause(rests.next_rest()).await,
            }
        }
        Ok(())
    }

    /// Runs the command for an event, if it is wanted, and logs what came of it. Gives why the event is not told yet.
    async fn tell_one(&self, event: &Untold, said: &mut Once<i64>) -> Option<String> {
        let programs = &self.programs;
        let is_wanted = |names: &Vec<String>| names.contains(&event.name);
        let command = programs
            .on_event
            .as_ref()
            .filter(|_| programs.events.as_ref().is_none_or(is_wanted));
        let mut output = String::new();
        if let Some(command) = command {
            let ended = command
                .run(&values(&self.queue, event), programs.limit, &self.stop)
                .await;
            output = ended.output;
            if let Some(error) = ended.error {
                if !self.stop.is_cancelled() && said.say(event.id, &error) {
                    let (id, name) = (event.id, &event.name);
                    error!(id, event = %name, %error, %output, advice = MEND, "event not told");
                }
                return Some(error);
            }
        }
        said.over(&event.id);
        info!(
            id = event.id,
            event = %event.name,
            ok = event.is_ok,
            term = event.term,
            details = %event.details,
            by_command = command.is_some(),
            %output,
            "event told"
        );
        None
    }

    /// Runs the command for each provider that is another one than at the last success.
    async fn redirect(&self, session: &Session, state: &mut Redirection) -> Result<(), Trouble> {
        let Some(command) = &self.programs.on_provider else {
            return Ok(());
        };
        let doing = "could not look for the provider";
        while !self.stop.is_cancelled() {
            let known = event_log::known_provider(&**session, &self.queue).await;
            if let Some(provider) = known.map_err(Trouble::sql(doing))?
                && state.is_due(&provider)
            {
                let values = [
                    (Letter::Provider, provider.name.clone()),
                    (Letter::Client, provider.client.clone()),
                    (Letter::Queue, self.queue.clone()),
                    (Letter::Term, provider.term.to_string()),
                ];
                let values = values.into_iter().collect();
                let ended = command.run(&values, self.programs.limit, &self.stop).await;
                if self.stop.is_cancelled() && ended.error.is_some() {
                    return Ok(());
                }
                if let Some(error) = self.redirected(state, provider, ended) {
                    event_log::tell(
                        &**session,
                        &self.queue,
                        "redirect_failed",
                        false,
                        &error,
                        None,
                    )
                    .await
                    .map_err(Trouble::sql(doing))?;
                }
            }
            self.pause(LOOK).await;
        }
        Ok(())
    }

    /// Notes and logs how the command has ended for a provider; gives an error that is news.
    fn redirected(
        &self,
        state: &mut Redirection,
        provider: KnownProvider,
        Ended { error, output }: Ended,
    ) -> Option<String> {
        let (name, term) = (provider.name.clone(), provider.term);
        let Some(error) = error else {
            info!(provider = %name, client = %provider.client, term, %output, "redirected");
            *state = Redirection {
                done: Some(provider),
                failed: None,
            };
            return None;
        };
        let is_news = state.fail(provider, self.rests());
        if is_news {
            error!(provider = %name, term, %error, %output, advice = MEND, "not redirected");
        }
        is_news.then_some(error)
    }
}

const GRANT: &str =
    "replay's role needs EXECUTE on trunkline.next_event and its like: docs/roles.md";

const MEND: &str = "mend the command or what it needs; it is run again by itself";

/// What a command may be told of an event.
fn values(queue: &str, event: &Untold) -> Values {
    let success = if event.is_ok { "1" } else { "0" };
    let term = event.term.map(|term| term.to_string());
    let values = [
        (Letter::Node, event.node.clone()),
        (Letter::Event, event.name.clone()),
        (Letter::Success, success.to_owned()),
        (Letter::Time, event.time.clone()),
        (Letter::Details, event.details.clone()),
        (Letter::OtherNode, event.other_node.clone()),
        (Letter::Provider, event.provider.clone()),
        (Letter::Client, event.client.clone()),
        (Letter::Queue, queue.to_owned()),
        (Letter::Term, term.unwrap_or_default()),
    ];
    values.into_iter().collect()
}

/// The providers that the command was run for.
#[derive(Debug, Default)]
struct Redirection {
    /// At its last success.
    done: Option<KnownProvider>,
    /// The one that it fails for since, the next try, and the rests between tries.
    failed: Option<(KnownProvider, Instant, Rests)>,
}

impl Redirection {
    fn is_due(&self, provider: &KnownProvider) -> bool {
        match &self.failed {
            Some((failed, again, _)) if failed == provider => Instant::now() >= *again,
            // After a failure nobody knows which provider the rules lead to.
            Some(_) => true,
            None => self.done.as_ref() != Some(provider),
        }
    }

    /// Notes a failure; whether it is the first one for this provider. `rests`: those after a first failure.
    fn fail(&mut self, provider: KnownProvider, rests: Rests) -> bool {
        let before = self
            .failed
            .take()
            .filter(|(failed, ..)| *failed == provider);
        let is_news = before.is_none();
        let mut rests = before.map_or(rests, |(_, _, rests)| rests);
        let again = Instant::now() + rests.next_rest();
        self.failed = Some((provider, again, rests));
        is_news
    }
}
