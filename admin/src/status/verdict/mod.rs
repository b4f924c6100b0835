//! The verdict on a replication's health: facts in, verdict out. Every output (`status`, `check`, the page, the metrics
//! and `/health`) tells this verdict, so that no two outputs disagree. Pure.

mod member;
mod operation;
mod provider;
mod reason;
mod role;
mod ticks;
mod waits;

pub use member::MemberFacts;
pub use operation::OperationFacts;
pub use provider::{FromProvider, Held, ProviderFacts, Retention, of_provider};
pub use reason::{Reason, ReasonKind, Severity, Unasked, worst};
pub use role::RoleFacts;
pub use ticks::TickFacts;
pub use waits::{Wait, waits};

use super::report::SubscriberState;
use crate::output::seconds;

/// A subscriber whose oldest unapplied event is younger than this counts as level: under load there always is an event
/// that is just being applied.
pub const LEVEL_SECONDS: f64 = 2.0;

/// The default limits of a subscriber's lag: above the first it is a warning, above the second critical.
pub const LAG_LIMITS: (f64, f64) = (60.0, 600.0);

/// A replay that has work and is idle is told after the first time, and is critical after the second.
const HANG_SECONDS: (f64, f64) = (15.0, 60.0);

/// A transient error that lasts longer than this is critical.
const PASSING_SECONDS: f64 = 60.0;

/// How many parked tables are named; of further tables only the number is told.
const TOLD_TABLES: usize = 20;

/// A table that is not in sync.
#[derive(Debug, Clone, PartialEq)]
pub struct TableFacts {
    /// The table's name.
    pub table: String,
    /// The table's state, as printed.
    pub state: String,
    /// Why the table is parked, without values of rows.
    pub error: Option<String>,
    /// What to do about the error.
    pub advice: Option<String>,
}

/// An error that the daemon has stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredError {
    /// The error in one line, without values of rows.
    pub text: String,
    /// What somebody has to do; None: the error may pass by itself.
    pub advice: Option<String>,
    /// Seconds since the error was stored.
    pub seconds: f64,
}

/// What the subscriber says of its own state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FromSubscriber {
    /// The operator has paused the subscriber.
    pub paused: bool,
    /// A failover holds the subscriber where it stands.
    pub held: bool,
    /// The error that keeps the daemon from going on, if there is one.
    pub error: Option<StoredError>,
    /// The batch loop's session exists.
    pub connected: bool,
    /// Seconds since the batch loop's session is idle; None: the session works or waits, or this role may not see its
    /// state.
    pub idle: Option<f64>,
    /// Sessions of ours that wait.
    pub waits: Vec<Wait>,
    /// `synchronous_standby_names`.
    pub standbys: String,
    /// Tables that are not `ok`.
    pub tables: Vec<TableFacts>,
    /// Rows of the last day that were not as their changes said.
    pub conflicts: i64,
}

/// What is known of a subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriberFacts {
    /// A daemon of the job runs on this host.
    pub daemon: bool,
    /// The subscriber's database has a role that applies nothing.
    pub rests: bool,
    /// The subscriber's own account; an error: the subscriber cannot be asked; None: replay is not installed there.
    pub subscriber: Result<Option<FromSubscriber>, Unasked>,
    /// The provider's account; None: the provider cannot be asked, or has no such queue.
    pub provider: Option<FromProvider>,
}

/// The verdict on a subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The subscriber's state in one word.
    pub state: SubscriberState,
    /// Age, on the provider's clock, of the oldest event that the subscriber has not applied; 0: all is applied; None:
    /// not known.
    pub lag: Option<f64>,
    /// The reasons why the subscriber is not healthy, the worst first.
    pub reasons: Vec<Reason>,
}

/// The verdict. `limits` are the lags that are a warning and critical.
pub fn of_subscriber(facts: &SubscriberFacts, limits: (f64, f64)) -> Verdict {
    let critical =
        |kind, subject: &str, what: &str| Reason::new(Severity::Critical, kind, subject, what);
    let own = match &facts.subscriber {
        Err(Unasked { error, advice }) => {
            let found = critical(ReasonKind::Unreachable, "subscriber", error);
            return Verdict {
                state: SubscriberState::Unreachable,
                lag: None,
                reasons: vec![found.advised_if(advice.clone())],
            };
        }
        Ok(_) if facts.rests => return resting(facts),
        Ok(None) => {
            let found = critical(
                ReasonKind::NotInstalled,
                "subscriber",
                "replay is not installed here",
            );
            return Verdict {
                state: SubscriberState::Stopped,
                lag: None,
                reasons: vec![found.advised("run replay install")],
            };
        }
        Ok(Some(own)) => own,
    };
    let lag = facts.provider.as_ref().and_then(FromProvider::lag);
    let mut reasons = of_replay(facts, own);
    reasons.extend(waits("subscriber", &own.waits, &own.standbys));
    reasons.extend(facts.provider.iter().flat_map(FromProvider::reasons));
    reasons.extend(of_tables(&own.tables));
    if own.conflicts > 0 {
        let what = format!("{} conflicts in the last day", own.conflicts);
        reasons.push(Reason::new(
            Severity::Warning,
            ReasonKind::Conflicts,
            "subscriber",
            what,
        ));
    }
    if let Some(age) = lag.filter(|age| *age > limits.0) {
        let severity = if age > limits.1 {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let what = format!(
            "the oldest event that is not applied is {} old",
            seconds(age)
        );
        reasons.push(Reason::new(severity, ReasonKind::Lag, "subscriber", what));
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
    Verdict {
        state: state(facts, own, lag),
        lag,
        reasons,
    }
}

/// A database that applies nothing, as its role asks: its replay meets the other nodes.
fn resting(facts: &SubscriberFacts) -> Verdict {
    let what = "no daemon meets the other nodes of the set";
    let missing = Reason::new(Severity::Warning, ReasonKind::NoDaemon, "replay", what);
    Verdict {
        state: SubscriberState::Resting,
        lag: None,
        reasons: (!facts.daemon)
            .then(|| missing.advised("replay start -d"))
            .into_iter()
            .collect(),
    }
}

/// What is wrong with the daemon.
fn of_replay(facts: &SubscriberFacts, own: &FromSubscriber) -> Vec<Reason> {
    let reason = |severity, kind, what: String| Reason::new(severity, kind, "replay", what);
    let mut reasons = Vec::new();
    if own.paused {
        let found = reason(Severity::Warning, ReasonKind::Paused, "paused".into());
        reasons.push(found.advised("replay resume"));
    }
    if own.held {
        let what = "held where it stands by a failover".into();
        let found = reason(Severity::Warning, ReasonKind::Paused, what);
        reasons.push(found.advised("trunkline failover QUEUE --resume, or --abort"));
    }
    if !facts.daemon && !own.connected {
        let found = reason(
            Severity::Critical,
            ReasonKind::NoDaemon,
            "no daemon works on it".into(),
        );
        reasons.push(found.advised("replay start -d"));
    }
    if let Some(error) = &own.error {
        let severity = match error.advice {
            None if error.seconds < PASSING_SECONDS => Severity::Warning,
            None | Some(_) => Severity::Critical,
        };
        let found = reason(severity, ReasonKind::Error, error.text.clone());
        reasons.push(found.advised_if(error.advice.clone()));
    }
    let work_waits = facts
        .provider
        .as_ref()
        .is_some_and(|provider| provider.ticks > 0);
    if let Some(idle) = own.idle
        && work_waits
        && own.connected
        && !own.paused
        && !own.held
        && own.error.is_none()
        && idle > HANG_SECONDS.0
    {
        let severity = if idle > HANG_SECONDS.1 {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let what = format!(
            "it has done nothing on the subscriber for {}: does it hang?",
            seconds(idle)
        );
        reasons.push(
            reason(severity, ReasonKind::Hangs, what)
                .advised("see its log; if it hangs: replay restart"),
        );
    }
    reasons
}

/// Each parked table with its reason, and how many are on their way.
fn of_tables(tables: &[TableFacts]) -> Vec<Reason> {
    let (parked, moving): (Vec<_>, Vec<_>) = tables.iter().partition(|one| one.state == "parked");
    let mut reasons: Vec<Reason> = parked
        .iter()
        .take(TOLD_TABLES)
        .map(|one| {
            let why = one.error.as_deref().unwrap_or("no reason is stored");
            Reason::new(
                Severity::Critical,
                ReasonKind::Parked,
                &one.table,
                format!("parked: {why}"),
            )
            .advised_if(one.advice.clone())
        })
        .collect();
    if parked.len() > TOLD_TABLES {
        let what = format!("{} more are parked", parked.len() - TOLD_TABLES);
        let found = Reason::new(Severity::Critical, ReasonKind::Parked, "tables", what);
        reasons.push(found.advised("replay tables"));
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for one in moving {
        *counts.entry(&one.state).or_default() += 1;
    }
    reasons.extend(counts.into_iter().map(|(state, count)| {
        let what = format!("{count} in state {state}");
        Reason::new(Severity::Warning, ReasonKind::Copying, "tables", what)
    }));
    reasons
}

/// The state, decided from the facts. An unhealthy state is never told as a healthy one.
fn state(facts: &SubscriberFacts, own: &FromSubscriber, lag: Option<f64>) -> SubscriberState {
    let is = |state: &str| own.tables.iter().any(|table| table.state == state);
    if own.paused || own.held {
        SubscriberState::Paused
    } else if !(facts.daemon || own.connected) {
        SubscriberState::Stopped
    } else if let Some(error) = &own.error {
        match error.advice {
            Some(_) => SubscriberState::Stopped,
            None => SubscriberState::Waiting,
        }
    } else if facts.provider.is_none() {
        SubscriberState::Waiting
    } else if !own.connected {
        SubscriberState::Starting
    } else if is("parked") {
        SubscriberState::Parked
    } else if !own.tables.is_empty() {
        SubscriberState::Copying
    } else if lag.is_some_and(|age| age < LEVEL_SECONDS) {
        SubscriberState::Level
    } else {
        SubscriberState::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> FromSubscriber {
        FromSubscriber {
            connected: true,
            ..FromSubscriber::default()
        }
    }

    fn provider(oldest: Option<f64>, ticks: i64) -> FromProvider {
        FromProvider {
            same_queue: true,
            tick_known: true,
            oldest,
            events: i64::from(oldest.is_some()),
            ticks,
            held: Held::Held,
            retention: Vec::new(),
        }
    }

    fn judge(own: FromSubscriber, provider: Option<FromProvider>) -> Verdict {
        let facts = SubscriberFacts {
            daemon: true,
            rests: false,
            subscriber: Ok(Some(own)),
            provider,
        };
        of_subscriber(&facts, LAG_LIMITS)
    }

    /// State, and the worst reason's severity and kind.
    fn told(verdict: &Verdict) -> (SubscriberState, Option<(Severity, ReasonKind)>) {
        let worst = verdict.reasons.first();
        (verdict.state, worst.map(|one| (one.severity, one.kind)))
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_event_ticked_or_not() {
        use SubscriberState::{Behind, Level};
        let of = |oldest, ticks| judge(own(), Some(provider(oldest, ticks)));
        assert_eq!(told(&of(None, 0)), (Level, None));
        assert_eq!(of(None, 7).lag, Some(0.0));
        assert_eq!(told(&of(Some(1.0), 3)), (Level, None));
        assert_eq!(told(&of(Some(30.0), 0)), (Behind, None));
        let warned = Some((Severity::Warning, ReasonKind::Lag));
        assert_eq!(told(&of(Some(61.0), 0)), (Behind, warned));
        let critical = Some((Severity::Critical, ReasonKind::Lag));
        assert_eq!(told(&of(Some(601.0), 0)), (Behind, critical));
    }

    #[test]
    fn whoever_does_not_do_his_work_is_named() {
        use SubscriberState::{Parked, Paused, Starting, Stopped, Waiting};
        let late = || Some(provider(Some(1.0), 1));
        let idle = FromSubscriber {
            idle: Some(130.0),
            ..own()
        };
        let hangs = judge(idle, late());
        assert_eq!(
            told(&hangs).1,
            Some((Severity::Critical, ReasonKind::Hangs))
        );
        let error = |advice: Option<&str>, seconds| FromSubscriber {
            error: Some(StoredError {
                text: "no".into(),
                advice: advice.map(str::to_owned),
                seconds,
            }),
            ..own()
        };
        let said = |severity| Some((severity, ReasonKind::Error));
        let passing = judge(error(None, 5.0), late());
        assert_eq!(told(&passing), (Waiting, said(Severity::Warning)));
        let lasting = judge(error(None, 61.0), late());
        assert_eq!(told(&lasting), (Waiting, said(Severity::Critical)));
        let operator = judge(error(Some("act"), 0.0), late());
        assert_eq!(told(&operator), (Stopped, said(Severity::Critical)));
        let paused = FromSubscriber {
            paused: true,
            ..own()
        };
        let paused = judge(paused, late());
        let held = FromSubscriber {
            held: true,
            ..own()
        };
        let held = judge(held, late());
        assert_eq!(told(&held).0, Paused);
        assert_eq!(
            held.reasons[0].sentence(),
            "replay: held where it stands by a failover"
        );
        let pause = Some((Severity::Warning, ReasonKind::Paused));
        assert_eq!(told(&paused), (Paused, pause));
        assert_eq!(judge(FromSubscriber::default(), late()).state, Starting);
        // A subscriber is never called level if the provider cannot be asked.
        assert_eq!(judge(own(), None).state, Waiting);
        let parked = FromSubscriber {
            tables: vec![TableFacts {
                table: "public.t".into(),
                state: "parked".into(),
                error: Some("no column x".into()),
                advice: Some("add it".into()),
            }],
            ..own()
        };
        let parked = judge(parked, late());
        assert_eq!(parked.state, Parked);
        assert_eq!(
            parked.reasons[0].sentence(),
            "public.t: parked: no column x"
        );
        assert_eq!(parked.reasons[0].advice.as_deref(), Some("add it"));
    }
}
