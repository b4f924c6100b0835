//! Tells the operator's command (`hook`) what happens to an archive. Nothing waits for the command, and its failure
//! changes nothing but the log.

use std::{
    convert::Infallible,
    time::{Duration, Instant, SystemTime},
};

use admin::{
    config::ArchiveConfig,
    notice::{Command, Letter, Values},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::frames::place::Time;

/// How long the command may run.
const LIMIT: Duration = Duration::from_secs(60);

/// The rests before it is run again where it has failed; after these an event is given up.
const RESTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Events that wait for the command.
const WAITING: usize = 100;

/// How long trouble lasts that passes by itself before it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The daemon has made a base.
    BaseDone,
    /// It could not.
    BaseFailed,
    /// Events are missing for ever.
    Hole,
    /// What the policy does not keep was removed.
    Expired,
    /// The archive was verified.
    Verified,
    /// It is not as it was written, or could not be restored.
    VerifyFailed,
    /// Nothing is archived.
    Stuck,
}

impl What {
    /// Its name, for the command.
    pub(crate) fn name(self) -> &'static str {
        match self {
            What::BaseDone => "base_done",
            What::BaseFailed => "base_failed",
            What::Hole => "hole",
            What::Expired => "expired",
            What::Verified => "verified",
            What::VerifyFailed => "verify_failed",
            What::Stuck => "stuck",
        }
    }

    fn is_well(self) -> bool {
        match self {
            What::BaseDone | What::Expired | What::Verified => true,
            What::BaseFailed | What::Hole | What::VerifyFailed | What::Stuck => false,
        }
    }
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    what: What,
    time: SystemTime,
    base: String,
    tick: String,
    details: String,
}

impl Event {
    /// Something that happens now, and what a person is told of it.
    pub(crate) fn new(what: What, details: impl Into<String>) -> Event {
        Event {
            what,
            time: SystemTime::now(),
            base: String::new(),
            tick: String::new(),
            details: details.into(),
        }
    }

    /// The same, with the base that it is about.
    pub(crate) fn of_base(self, base: impl ToString) -> Event {
        let base = base.to_string();
        Event { base, ..self }
    }

    /// The same, with the tick that it is about.
    pub(crate) fn at(self, tick: i64) -> Event {
        let tick = tick.to_string();
        Event { tick, ..self }
    }
}

/// Where events are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hook(Option<mpsc::Sender<Event>>);

impl Hook {
    /// The hook of an archive, and what runs its command.
    pub(crate) fn of(
        config: &ArchiveConfig,
        queue: &str,
        stop: &CancellationToken,
    ) -> (Hook, Teller) {
        let (to, events) = mpsc::channel(WAITING);
        let teller = Teller {
            command: config.hook.clone(),
            consumer: config.consumer.clone(),
            subscriber: config.name.clone(),
            queue: queue.to_owned(),
            stop: stop.clone(),
            events,
        };
        (Hook(config.hook.is_some().then_some(to)), teller)
    }

    /// Tells an event, and waits for nothing.
    pub(crate) fn tell(&self, event: Event) {
        let Some(to) = &self.0 else { return };
        let what = event.what.name();
        if to.try_send(event).is_err() {
            warn!(event = what, "hook is behind, an event is not told");
        }
    }
}

/// Runs the command of an archive, one event after the other.
pub(crate) struct Teller {
    command: Option<Command>,
    consumer: String,
    subscriber: String,
    queue: String,
    stop: CancellationToken,
    events: mpsc::Receiver<Event>,
}

impl Teller {
    /// Runs it for each event. What waits when the daemon ends is not told any more.
    pub(crate) async fn run(mut self) -> Infallible {
        while let Some(event) = self.events.recv().await {
            self.tell(&event).await;
        }
        std::future::pending().await
    }

    async fn tell(&self, event: &Event) {
        let Some(command) = &self.command else { return };
        let (consumer, what) = (&self.consumer, event.what.name());
        let values = self.values(event);
        let mut rests = RESTS.into_iter();
        loop {
            let ended = command.run(&values, LIMIT, &self.stop).await;
            let Some(why) = ended.error else {
                debug!(%consumer, event = what, output = ended.output, "hook done");
                return;
            };
            let Some(rest) = rests.next() else {
                error!(%consumer, event = what, error = why, output = ended.output, "hook failed");
                return;
            };
            tokio::time::sleep(rest).await;
        }
    }

    fn values(&self, event: &Event) -> Values {
        let time = Time::of(event.time).map_or_else(String::new, String::from);
        let success = if event.what.is_well() { "1" } else { "0" };
        [
            (Letter::Event, event.what.name().to_owned()),
            (Letter::Success, success.to_owned()),
            (Letter::Time, time),
            (Letter::Details, event.details.clone()),
            (Letter::Queue, self.queue.clone()),
            (Letter::Subscriber, self.subscriber.clone()),
            (Letter::Base, event.base.clone()),
            (Letter::Tick, event.tick.clone()),
        ]
        .into_iter()
        .collect()
    }
}

/// Whether an archive is stuck: it has trouble that a person must end, or that has not passed for a minute. Pure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stuck {
    /// Since when, and when there was trouble last.
    trouble: Option<(Instant, Instant)>,
    is_told: bool,
}

impl Stuck {
    /// There is trouble. Whether that is to be told, which it is once. `rest`: the longest time until it shows again
    /// while it lasts.
    pub(crate) fn is_news(&mut self, passes: bool, now: Instant, rest: Duration) -> bool {
        let lasts = |(_, last): &(Instant, Instant)| {
            now.saturating_duration_since(*last) <= rest * 2 + PATIENCE
        };
        let (since, _) = self.trouble.filter(lasts).unwrap_or((now, now));
        self.trouble = Some((since, now));
        let is_stuck = !passes || now.saturating_duration_since(since) >= PATIENCE;
        let is_news = is_stuck && !self.is_told;
        self.is_told |= is_stuck;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_at_once_where_it_does_not_pass_and_else_after_a_minute() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let rest = Duration::from_secs(30);
        let mut stuck = Stuck::default();
        assert!(!stuck.is_news(true, after(0), rest));
        assert!(!stuck.is_news(true, after(59), rest));
        assert!(stuck.is_news(true, after(61), rest));
        assert!(!stuck.is_news(true, after(90), rest));
        assert!(!stuck.is_news(false, after(100), rest));
        let mut stopped = Stuck::default();
        assert!(stopped.is_news(false, after(0), rest));
        assert!(!stopped.is_news(false, after(1), rest));
        // Trouble that was over for long begins anew.
        let mut passing = Stuck::default();
        assert!(!passing.is_news(true, after(0), rest));
        assert!(!passing.is_news(true, after(300), rest));
        assert!(passing.is_news(true, after(361), rest));
    }
}
