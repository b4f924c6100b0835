//! The task that meets the hosts of a config once a second, says what changes, and tells the daemon whom to follow.

use std::{collections::HashMap, time::Duration};

use admin::{config::ReplayConfig, log::Once};
use sql::{connect::ConnectInfo, meeting::Heard, role::Role, subscriber::position::StoredError};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    choose::{self, Choice, Conflict, Round},
    round::{Meeting, Outcome},
};
use crate::trouble::{COPY, IS_COPY, Trouble};

/// Time between two meetings.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) const TORN: &str = "trunkline fence QUEUE on one of the two; where one is gone for ever, on the other: \
     trunkline member remove NODE";
/// What to do where the own database does not take in what hosts say.
const UNHEARD: &str = "it could not be fenced as a provider of the past; replay's role needs EXECUTE on function \
     trunkline.hear(text, jsonb)";
/// What to do where a provider of the past has no place in the later one's log.
const APART: &str = "what this node has taken since belongs to no other node: it stays fenced until a person has \
     decided";
/// What to do where a provider of the past has taken what the later one never had.
const AHEAD: &str = "see what it has taken: replay lost; then: replay rejoin";
/// What to do where that cannot be kept.
const NOT_KEPT: &str = "nothing is given up before it is kept: see lost_dir, and that replay's role has EXECUTE on \
     trunkline.take_lost on the provider";
pub(super) const UNDECIDED: &str =
    "on the node that has the data and takes the writes: replay install --first";

/// Whom a job follows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Following {
    /// What the config names: one host, or hosts that are tried in turn.
    Config,
    /// One of several hosts.
    Host(ConnectInfo),
    /// Nobody; why, unless that is as it should be.
    Nobody(Option<String>),
}

/// Meetings that go on until the value is dropped.
pub(crate) struct Meetings {
    following: watch::Receiver<Option<Following>>,
    _task: JoinSet<()>,
}

impl Meetings {
    /// Begins to meet the hosts of a config; None where there is nobody to choose.
    pub(crate) fn start(config: &ReplayConfig, stop: &CancellationToken) -> Option<Meetings> {
        let meeting = Meeting::of(config)?;
        let (sender, following) = watch::channel(None);
        let host = Talk {
            consumer: meeting.consumer().to_owned(),
            meeting,
            said: Once::default(),
            sender,
        };
        let mut task = JoinSet::new();
        task.spawn(host.go_on(stop.clone()));
        Some(Meetings {
            following,
            _task: task,
        })
    }

    /// Whom to follow, once that is known; None: the meetings have ended.
    pub(crate) async fn following(&mut self) -> Option<Following> {
        let known = self.following.wait_for(Option::is_some).await.ok()?;
        known.clone()
    }

    /// Waits until somebody else is to be followed. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.following.changed().await.is_err() {
            // The daemon is ending.
            std::future::pending::<()>().await;
        }
    }
}

/// What the log has been told of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Fact {
    Own,
    Choice,
    Conflict,
    Host(usize),
    Fence,
    Unheard,
    Join,
    Lost,
    Ahead,
}

struct Talk {
    consumer: String,
    meeting: Meeting,
    said: Once<Fact>,
    sender: watch::Sender<Option<Following>>,
}

impl Talk {
    async fn go_on(mut self, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = stop.cancelled() => return,
            }
            match self.meeting.round().await {
                Ok(outcome) => {
                    self.said.over(&Fact::Own);
                    if let Some(providers) = self.tell(&outcome) {
                        self.meeting.tell_event("two_providers", &providers).await;
                    }
                    self.act(outcome, &stop).await;
                }
                Err(trouble) => self.cannot(&trouble),
            }
        }
    }

    /// Without the own database nothing changes: its loops meet the same trouble.
    fn cannot(&mut self, trouble: &Trouble) {
        let error = trouble.log_line();
        if self.said.say(Fact::Own, &error) {
            warn!(consumer = %self.consumer, %error, "cannot meet the hosts of the set");
        }
        if self.sender.borrow().is_none() {
            self.follow(Following::Nobody(Some(error)));
        }
    }

    /// Logs what is new; gives who the two providers are, if that is.
    fn tell(&mut self, outcome: &Outcome) -> Option<String> {
        let mut providers = None;
        let consumer = self.consumer.clone();
        let silent: HashMap<usize, &str> = outcome
            .silent
            .iter()
            .map(|(number, why)| (*number, why.as_str()))
            .collect();
        for (number, host) in outcome.round.hosts.iter().enumerate() {
            match silent.get(&number) {
                Some(why) if self.said.say(Fact::Host(number), why) => {
                    warn!(%consumer, host = %host.title, error = %why, "host of the set does not answer");
                }
                None if self.said.over(&Fact::Host(number)) => {
                    info!(%consumer, host = %host.title, "host of the set answers again");
                }
                Some(_) | None => {}
            }
        }
        match choose::conflict(&outcome.round) {
            Some(conflict) if self.said.say(Fact::Conflict, conflict.text()) => {
                let error = conflict.text();
                match conflict {
                    Conflict::Providers(_) => {
                        error!(%consumer, %error, advice = TORN, "two providers");
                        providers = Some(error.to_owned());
                    }
                    Conflict::Servers(_) => {
                        error!(%consumer, %error, advice = TORN, "two servers of one identity");
                    }
                }
            }
            Some(_) => {}
            None => {
                self.said.over(&Fact::Conflict);
            }
        }
        match &outcome.unheard {
            None => {
                self.said.over(&Fact::Unheard);
            }
            Some(error) if self.said.say(Fact::Unheard, error) => {
                warn!(%consumer, %error, advice = UNHEARD, "own database takes in nothing");
            }
            Some(_) => {}
        }
        let own = outcome.own_fenced.as_ref();
        let own = own.map(|heard| ("this node", heard));
        let others = outcome.fenced.iter();
        let others = others.map(|(host, heard)| (host.as_str(), heard));
        let fenced: Vec<_> = own.into_iter().chain(others).collect();
        if fenced.is_empty() {
            self.said.over(&Fact::Fence);
        }
        for (node, heard) in fenced {
            self.tell_fence(node, heard);
        }
        providers
    }

    fn tell_fence(&mut self, node: &str, heard: &Heard) {
        let (consumer, why) = (&self.consumer, &heard.why);
        match &heard.error {
            // It is tried again each second, and is told once.
            Some(error) if self.said.say(Fact::Fence, node) => {
                error!(%consumer, %node, %why, %error, "stale provider is not fenced yet");
            }
            Some(_) => {}
            None => warn!(%consumer, %node, %why, "stale provider fenced"),
        }
    }

    async fn act(&mut self, outcome: Outcome, stop: &CancellationToken) {
        let stopped = |text: &str, advice| Some((text.to_owned(), advice));
        let (following, text, shown) = match outcome.choice {
            Choice::Stay | Choice::Ask(_) => return,
            Choice::Follow(host) => {
                let Some(info) = self.meeting.host(host).cloned() else {
                    return;
                };
                self.meeting.follow(Some(host));
                let text = info.place();
                if self.said.say(Fact::Choice, &text) {
                    info!(consumer = %self.consumer, host = %text, "follows");
                }
                self.follow(Following::Host(info));
                return;
            }
            Choice::Join => {
                self.join(&outcome.round).await;
                (
                    Following::Nobody(None),
                    Role::Fenced.as_str().to_owned(),
                    None,
                )
            }
            Choice::Ahead => {
                let why = self.keep_lost(&outcome.round, stop).await;
                if self.said.say(Fact::Ahead, "") {
                    self.meeting.tell_event("ahead", &why).await;
                }
                let shown = stopped(&why, Some(AHEAD));
                (Following::Nobody(Some(why.clone())), why, shown)
            }
            Choice::Apart(why) => {
                let shown = stopped(&why, Some(APART));
                (Following::Nobody(Some(why.clone())), why, shown)
            }
            Choice::Rest(Role::Copy) => {
                let shown = stopped(IS_COPY, Some(COPY));
                (
                    Following::Nobody(Some(IS_COPY.to_owned())),
                    IS_COPY.to_owned(),
                    shown,
                )
            }
            Choice::Rest(role) => (Following::Nobody(None), role.as_str().to_owned(), None),
            Choice::Nobody(why) => {
                let shown = stopped(&why, None);
                (Following::Nobody(Some(why.clone())), why, shown)
            }
            Choice::Undecided(why) => {
                let shown = stopped(&why, Some(UNDECIDED));
                (Following::Nobody(Some(why.clone())), why, shown)
            }
            Choice::Torn(conflict) => {
                let why = conflict.text().to_owned();
                let shown = stopped(&why, Some(TORN));
                (Following::Nobody(Some(why.clone())), why, shown)
            }
        };
        self.meeting.follow(None);
        if self.said.say(Fact::Choice, &text) {
            let consumer = &self.consumer;
            match &shown {
                None => info!(%consumer, role = %text, "applies nothing, as its role asks"),
                Some((error, Some(advice))) => {
                    error!(%consumer, %error, %advice, "follows nobody");
                }
                Some((error, None)) => warn!(%consumer, %error, "follows nobody"),
            }
        }
        self.follow(following);
        if outcome.round.is_standby() {
            self.meeting.keep_closed().await;
        }
        let shown = shown.as_ref();
        let stored = shown.map(|(text, advice)| StoredError {
            text,
            advice: *advice,
        });
        self.meeting.show(stored).await;
    }

    /// Keeps what this node has taken that the later provider never had; gives what it waits for.
    async fn keep_lost(&mut self, round: &Round, stop: &CancellationToken) -> String {
        let consumer = self.consumer.clone();
        match self.meeting.keep_lost(round, stop).await {
            Ok(finding) => {
                self.said.over(&Fact::Lost);
                let what = finding.map_or_else(
                    || "what this node has taken".to_owned(),
                    |finding| finding.describe(),
                );
                format!("ahead of the provider: {what}")
            }
            Err(trouble) => {
                let error = trouble.log_line();
                if self.said.say(Fact::Lost, &error) {
                    error!(%consumer, %error, advice = NOT_KEPT, "lost changes are not kept yet");
                }
                format!("ahead of the provider, and lost changes are not kept yet: {error}")
            }
        }
    }

    /// Makes this node a standby. The next meeting finds it so.
    async fn join(&mut self, round: &Round) {
        let Some(own) = round.own.as_ref() else {
            return;
        };
        let consumer = self.consumer.clone();
        match self.meeting.join(own).await {
            Ok(term) => {
                self.said.over(&Fact::Join);
                info!(%consumer, term, "joined");
            }
            Err(error) if self.said.say(Fact::Join, &error) => {
                warn!(%consumer, %error, "cannot join the later provider yet");
            }
            Err(_) => {}
        }
    }

    fn follow(&self, following: Following) {
        self.sender.send_if_modified(|known| {
            let is_news = known.as_ref() != Some(&following);
            *known = Some(following);
            is_news
        });
    }
}
