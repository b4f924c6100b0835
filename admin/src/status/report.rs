//! What `--json` prints, key by key. Scripts rely on these names; more may be added, none may go.

use std::collections::BTreeMap;

use serde::Serialize;

use super::verdict::{Reason, Severity, TickFacts, worst};
use crate::exit::Exit;
use crate::output;

/// `trunkline status --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Overview {
    /// One a ticker config.
    pub tickers: Vec<TickerStatus>,
    /// One a replay config.
    pub replays: Vec<ReplayStatus>,
}

impl Overview {
    /// Whether every database answered and has what is expected there.
    pub fn is_asked(&self) -> bool {
        self.tickers.iter().all(TickerStatus::is_asked)
            && self.replays.iter().all(ReplayStatus::is_asked)
    }
}

/// The exit code of a daemon's own `status`: [`Exit::Failed`] if something could not be asked,
/// [`Exit::Running`] if the daemon does not run on this host.
fn exit_code(asked: bool, running: bool) -> Exit {
    match (asked, running) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Running,
        (true, true) => Exit::Done,
    }
}

/// `ticker status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TickerStatus {
    /// `job_name`.
    pub job: String,
    /// A daemon holds the pid file on this host.
    pub running: bool,
    /// Its process.
    pub pid: Option<i32>,
    /// One a database of the config.
    pub databases: Vec<DatabaseStatus>,
}

impl TickerStatus {
    /// Whether every database answered and has the queue.
    pub fn is_asked(&self) -> bool {
        self.databases.iter().all(|one| one.error.is_none())
    }

    /// With which code `ticker status` ends.
    pub fn exit_code(&self) -> Exit {
        exit_code(self.is_asked(), self.running)
    }
}

/// A database with queues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseStatus {
    /// Its name; of the connection string, if the list of all databases could not be had.
    pub name: String,
    /// Its queues, by name.
    pub queues: Vec<QueueStatus>,
    /// Why the queues could not be asked.
    pub error: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// Id of its last tick.
    pub last_tick: Option<i64>,
    /// Seconds since that tick.
    pub tick_age_seconds: Option<f64>,
    /// Events numbered since that tick.
    pub pending_events: Option<i64>,
    /// How many consumers are registered, helpers included.
    pub consumers: i64,
    /// Bytes on disk of its events.
    pub bytes: i64,
    /// What is wrong with it, such as a queue of the config that is not there.
    pub error: Option<String>,
    /// What is not as it should be.
    pub reasons: Vec<Reason>,
    /// How it is ticked, to be judged; null for a queue that is not there.
    #[serde(skip)]
    pub ticks: Option<TickFacts>,
    /// How it ticks and rotates; null for a queue that is not there.
    #[serde(flatten)]
    pub pace: Option<QueuePace>,
    /// Where each consumer stands.
    pub consumer_list: Vec<ConsumerStatus>,
    /// What keeps its space from being used again, the oldest first.
    pub holder_list: Vec<HolderStatus>,
    /// Captured tables whose changes may be missing from it.
    pub capture_problems: Vec<CaptureStatus>,
}

/// A captured table whose changes may be missing from its queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureStatus {
    /// `schema.table`.
    pub table: String,
    /// What is wrong with its capture.
    pub problem: String,
}

/// How a queue ticks and rotates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueuePace {
    /// Events a second over the last ticks; null before the second one.
    pub events_per_second: Option<f64>,
    /// Event tables that take turns.
    pub tables: i32,
    /// Event tables that rotation may add up to, while something holds them all.
    pub max_tables: i32,
    /// The table that takes events now, from 0 on.
    pub current_table: i32,
    /// Seconds between two rotations, if nothing holds them up.
    pub rotation_period_seconds: f64,
    /// Seconds since the last rotation.
    pub rotated_seconds_ago: f64,
    /// Events that make a tick due.
    pub ticker_max_count: i32,
    /// Seconds after which an event makes a tick due.
    pub ticker_max_lag_seconds: f64,
    /// Seconds after which a quiet queue gets a tick all the same.
    pub ticker_idle_period_seconds: f64,
    /// No ticks are made.
    pub ticker_paused: bool,
    /// Ticks come from elsewhere.
    pub external_ticker: bool,
    /// Nobody may insert events.
    pub insert_disabled: bool,
    /// Seconds that a consumer's oldest undone event may be old; 0: no limit.
    pub retention_age_seconds: f64,
    /// Bytes that may follow a consumer's position; 0: no limit.
    pub retention_bytes: i64,
    /// What happens to a consumer above a limit: `warn` or `detach`.
    pub retention_action: String,
}

/// What keeps a queue's space from being used again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HolderStatus {
    /// `consumer`, `transaction`, `prepared`, `lock`, `ticker` or `detached`.
    pub kind: &'static str,
    /// The consumer, the gid of a prepared transaction, else the session's `application_name`.
    pub name: Option<String>,
    /// Seconds since it waits or is open; null: the installing role may not see that.
    pub held_seconds: Option<f64>,
    /// About how many bytes it holds.
    pub held_bytes: Option<i64>,
    /// A consumer above a limit of the queue.
    pub over_limit: bool,
    /// Process id of the session.
    pub pid: Option<i32>,
    /// Number of the transaction.
    pub xid: Option<i64>,
    /// Database and state of a session; why a consumer was detached.
    pub detail: Option<String>,
}

impl HolderStatus {
    /// In one line: what it is, since when and how much it holds.
    pub fn describe(&self) -> String {
        let mut text = self.kind.to_owned();
        if let Some(name) = &self.name {
            text.push_str(&format!(" {name}"));
        }
        let facts = [
            self.pid.map(|pid| format!("pid {pid}")),
            self.xid.map(|xid| format!("xid {xid}")),
            self.held_seconds
                .map(|time| format!("for {}", output::seconds(time))),
            self.held_bytes
                .filter(|bytes| *bytes > 0)
                .map(output::bytes),
            self.over_limit.then(|| "above the limit".to_owned()),
            self.detail.clone(),
        ];
        for fact in facts.into_iter().flatten() {
            text.push_str(&format!(", {fact}"));
        }
        text
    }
}

/// A consumer of a queue, by the provider's account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// The last tick that it finished.
    pub last_tick: Option<i64>,
    /// Age of that tick.
    pub lag_seconds: Option<f64>,
    /// Seconds since it last did anything.
    pub last_seen_seconds: f64,
    /// Events between that tick and the queue's last one.
    pub pending_events: Option<i64>,
    /// The batch that it has open.
    pub batch: Option<i64>,
}

/// `replay status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayStatus {
    /// `job_name`.
    pub job: String,
    /// `pgq_queue_name`.
    pub queue: String,
    /// A daemon holds the pid file on this host.
    pub running: bool,
    /// Its process.
    pub pid: Option<i32>,
    /// The other end.
    pub provider: ProviderStatus,
    /// One a subscriber of the config.
    pub subscribers: Vec<SubscriberStatus>,
}

impl ReplayStatus {
    /// Whether the provider, its queue and every subscriber answered.
    pub fn is_asked(&self) -> bool {
        let provider = &self.provider;
        provider.reachable
            && provider.error.is_none()
            && self.subscribers.iter().all(|one| one.reachable)
    }

    /// All that is not as it should be, the provider's first.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let of_subscribers = self.subscribers.iter().flat_map(|one| &one.reasons);
        self.provider.reasons.iter().chain(of_subscribers)
    }

    /// How bad the worst of it is; None: all is well.
    pub fn severity(&self) -> Option<Severity> {
        worst(self.reasons())
    }

    /// With which code `replay status` ends.
    pub fn exit_code(&self) -> Exit {
        exit_code(self.is_asked(), self.running)
    }
}

/// The provider as seen from a replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProviderStatus {
    /// It was asked and answered.
    pub reachable: bool,
    /// Id of the queue's last tick.
    pub last_tick: Option<i64>,
    /// Seconds since that tick, by its clock.
    pub tick_age_seconds: Option<f64>,
    /// Why it could not be asked, or what is missing there.
    pub error: Option<String>,
    /// What is not as it should be there.
    pub reasons: Vec<Reason>,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriberStatus {
    /// Name of its `[[subscriber]]`; null with `subscriber_db`.
    pub name: Option<String>,
    /// Its consumer on the queue.
    pub consumer: String,
    /// It was asked and answered.
    pub reachable: bool,
    /// Identity of the queue that it follows: a number, as text, for it may be above 2^53.
    pub epoch: Option<String>,
    /// The last tick that is applied.
    pub tick: Option<i64>,
    /// Seconds since the oldest event that it has not applied, ticked or not, by the provider's clock; 0: it has applied
    /// all; null: not known.
    pub lag_seconds: Option<f64>,
    /// Ticks that are not applied yet; null if the provider cannot be asked.
    pub lag_ticks: Option<i64>,
    /// Events that are not applied yet, ticked or not, by the provider's account.
    pub pending_events: Option<i64>,
    /// Rows that the batch in hand has written so far and not committed; null unless it takes long.
    pub batch_rows: Option<i64>,
    /// In one word.
    pub state: SubscriberState,
    /// The operator has paused it.
    pub paused: bool,
    /// Rows that were not as their change said.
    pub conflicts: i64,
    /// Of these, those found in the last day.
    pub recent_conflicts: i64,
    /// Why it does not go on, or why it cannot be asked.
    pub last_error: Option<String>,
    /// What is not as it should be, the worst first.
    pub reasons: Vec<Reason>,
    /// Number of tables in each state; states without tables are left out.
    pub tables: BTreeMap<String, u64>,
    /// The tables that are not `ok`, each with what is known.
    pub table_list: Vec<TableStatus>,
}

/// A subscriber in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriberState {
    /// The daemon runs and has not connected to this subscriber yet.
    Starting,
    /// Some table is not in step yet.
    Copying,
    /// In step, some ticks late.
    Behind,
    /// Has applied all that was committed on the provider until a moment ago.
    Level,
    /// Goes on without some tables, which are parked.
    Parked,
    /// Told to pause.
    Paused,
    /// The daemon waits for something that may pass by itself, such as a provider that is away.
    Waiting,
    /// Does not go on until somebody acts: no daemon, or an error.
    Stopped,
    /// Cannot be asked.
    Unreachable,
}

impl SubscriberState {
    /// The word as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            SubscriberState::Starting => "starting",
            SubscriberState::Copying => "copying",
            SubscriberState::Behind => "behind",
            SubscriberState::Level => "level",
            SubscriberState::Parked => "parked",
            SubscriberState::Waiting => "waiting",
            SubscriberState::Paused => "paused",
            SubscriberState::Stopped => "stopped",
            SubscriberState::Unreachable => "unreachable",
        }
    }
}

/// A table of a subscriber; one element of `replay tables --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableStatus {
    /// Name of the `[[subscriber]]`; null with `subscriber_db`.
    pub subscriber: Option<String>,
    /// The table's name as one word; `*` if the subscriber cannot be asked.
    pub table: String,
    /// The subscriber's table that it is written to, as one word; null if it cannot be asked.
    pub target: Option<String>,
    /// The columns that are replicated, by the names that they had when it was added; null: all.
    pub columns: Option<Vec<String>>,
    /// The condition on the rows that are replicated; null: all.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// `-`, `in-copy`, `catching-up`, `wanna-sync`, `ok`, `parked`, or `unreachable`.
    pub state: String,
    /// Rows copied so far.
    pub rows_copied: Option<i64>,
    /// Bytes copied so far.
    pub bytes_copied: Option<i64>,
    /// Rows that the provider's statistics promise.
    pub rows_estimated: Option<i64>,
    /// Rows copied in a second so far, while it is copied.
    pub rows_per_second: Option<f64>,
    /// Seconds until its rows are in, at that rate, while it is copied.
    pub seconds_left: Option<f64>,
    /// Indexes and constraints that are still to be built after its copy; null: none.
    pub objects_left: Option<i64>,
    /// Of how many.
    pub objects: Option<i64>,
    /// Share of the work done, from 0 to 1, of those that are being built; null: not known.
    pub objects_share: Option<f64>,
    /// Rows that were updated or deleted on the provider, and left out here: its identity is insert-only.
    pub ignored: i64,
    /// Rows that were not as their changes said.
    pub conflicts: Option<i64>,
    /// Why it is parked, or cannot be asked.
    pub error: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl TableStatus {
    /// What is still to be built after its copy, in words; None: nothing.
    pub fn building(&self) -> Option<String> {
        let (left, all) = (self.objects_left?, self.objects?);
        let share = self.objects_share;
        let share = share.map_or(String::new(), |share| {
            format!(", now at {:.0} %", share * 100.0)
        });
        Some(format!(
            "{left} of {all} indexes and constraints to build{share}"
        ))
    }
}
