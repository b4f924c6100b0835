//! What `--json` prints, key by key. Scripts rely on these keys: keys may be added, and none may be removed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::verdict::{Reason, RoleFacts, Severity, TickFacts, worst};
use crate::exit::Exit;
use crate::output;

/// `trunkline status --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Overview {
    /// One status for each ticker config.
    pub tickers: Vec<TickerStatus>,
    /// One status for each replay config.
    pub replays: Vec<ReplayStatus>,
}

impl Overview {
    /// Whether every database answered and has what is expected.
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
    /// The daemon's process.
    pub pid: Option<i32>,
    /// Why the pid file says nothing of the daemon: the file may not be read, or is not believed.
    pub pid_problem: Option<String>,
    /// One status for each database of the config.
    pub databases: Vec<DatabaseStatus>,
}

impl TickerStatus {
    /// Whether every database answered and has the queue.
    pub fn is_asked(&self) -> bool {
        self.databases.iter().all(|one| one.error.is_none())
    }

    /// The exit code of `ticker status`.
    pub fn exit_code(&self) -> Exit {
        exit_code(self.is_asked(), self.running)
    }
}

/// A database with queues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseStatus {
    /// The database's name; if the list of all databases could not be read, the name in the connection string.
    pub name: String,
    /// The database's queues, by name.
    pub queues: Vec<QueueStatus>,
    /// Why the queues could not be asked.
    pub error: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueStatus {
    /// The queue's name.
    pub name: String,
    /// Id of the queue's last tick.
    pub last_tick: Option<i64>,
    /// Seconds since the last tick.
    pub tick_age_seconds: Option<f64>,
    /// Events numbered since the last tick.
    pub pending_events: Option<i64>,
    /// How many consumers are registered, helpers included.
    pub consumers: i64,
    /// Bytes on disk of the queue's events.
    pub bytes: i64,
    /// What is wrong with the queue, such as a queue of the config that does not exist.
    pub error: Option<String>,
    /// The reasons why the queue is not healthy.
    pub reasons: Vec<Reason>,
    /// The facts of the queue's ticks, to be judged; null for a queue that does not exist.
    #[serde(skip)]
    pub ticks: Option<TickFacts>,
    /// The settings and the state of ticks and rotation; null for a queue that does not exist.
    #[serde(flatten)]
    pub pace: Option<QueuePace>,
    /// The position of each consumer.
    pub consumer_list: Vec<ConsumerStatus>,
    /// What keeps the queue's space from being used again, the oldest first.
    pub holder_list: Vec<HolderStatus>,
    /// Captured tables whose changes may be missing from the queue.
    pub capture_problems: Vec<CaptureStatus>,
    /// What the database is in the set of the queue's name; null: it is a plain one.
    pub role: Option<RoleFacts>,
}

/// A captured table whose changes may be missing from its queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureStatus {
    /// `schema.table`.
    pub table: String,
    /// What is wrong with the table's capture.
    pub problem: String,
}

/// The settings and the state of a queue's ticks and rotation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueuePace {
    /// Events a second over the last ticks; null before the second tick.
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
    /// Ticks come from outside, not from our ticker.
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
    /// Seconds since the holder waits or is open; null: the installing role may not see that.
    pub held_seconds: Option<f64>,
    /// About how many bytes the holder holds.
    pub held_bytes: Option<i64>,
    /// The holder is a consumer above a limit of the queue.
    pub over_limit: bool,
    /// Process id of the session.
    pub pid: Option<i32>,
    /// Number of the transaction.
    pub xid: Option<i64>,
    /// Database and state of a session; of a detached consumer, why it was detached.
    pub detail: Option<String>,
}

impl HolderStatus {
    /// The holder in one line: what it is, since when and how much it holds.
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
    /// The consumer's name.
    pub name: String,
    /// The last tick that the consumer finished.
    pub last_tick: Option<i64>,
    /// Age of the last finished tick, in seconds.
    pub lag_seconds: Option<f64>,
    /// Seconds since the consumer last did anything.
    pub last_seen_seconds: f64,
    /// Events between the last finished tick and the queue's last tick.
    pub pending_events: Option<i64>,
    /// The batch that the consumer has open.
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
    /// The daemon's process.
    pub pid: Option<i32>,
    /// Why the pid file says nothing of the daemon: the file may not be read, or is not believed.
    pub pid_problem: Option<String>,
    /// The status of the provider.
    pub provider: ProviderStatus,
    /// One status for each subscriber of the config.
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

    /// All reasons why something is not healthy, the provider's first.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let of_subscribers = self.subscribers.iter().flat_map(|one| &one.reasons);
        self.provider.reasons.iter().chain(of_subscribers)
    }

    /// What the first of the job's databases that is in the set of the queue's name says of it, subscribers before the
    /// provider; None: none is in a set.
    pub fn set(&self) -> Option<&RoleFacts> {
        let mut own = self.subscribers.iter().filter_map(|one| one.role.as_ref());
        own.next().or(self.provider.role.as_ref())
    }

    /// The severity of the worst reason; None: all is well.
    pub fn severity(&self) -> Option<Severity> {
        worst(self.reasons())
    }

    /// The exit code of `replay status`.
    pub fn exit_code(&self) -> Exit {
        exit_code(self.is_asked(), self.running)
    }
}

/// The provider as seen from a replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProviderStatus {
    /// What the provider is in the set of the queue's name; null: it is a plain one, or cannot be asked.
    pub role: Option<RoleFacts>,
    /// The provider was asked and answered.
    pub reachable: bool,
    /// Id of the queue's last tick.
    pub last_tick: Option<i64>,
    /// Seconds since the last tick, by the provider's clock.
    pub tick_age_seconds: Option<f64>,
    /// Why the provider could not be asked, or what is missing on the provider.
    pub error: Option<String>,
    /// The reasons why the provider is not healthy.
    pub reasons: Vec<Reason>,
    /// Bytes on disk of the queue's events.
    pub bytes: Option<i64>,
    /// Events a second over the last ticks; null before the second tick.
    pub events_per_second: Option<f64>,
    /// The position of each consumer of the queue.
    pub consumer_list: Vec<ConsumerStatus>,
    /// What keeps the queue's space from being used again, the oldest first.
    pub holder_list: Vec<HolderStatus>,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriberStatus {
    /// What the subscriber's database is in the set of the queue's name; null: it is a plain one, or cannot be asked.
    pub role: Option<RoleFacts>,
    /// Name of the subscriber's `[[subscriber]]`; null with `subscriber_db`.
    pub name: Option<String>,
    /// The subscriber's consumer on the queue.
    pub consumer: String,
    /// The subscriber is an archive, and no database.
    pub archive: bool,
    /// The subscriber was asked and answered.
    pub reachable: bool,
    /// Identity of the queue that the subscriber follows: a number, given as text because it may be above 2^53.
    pub epoch: Option<String>,
    /// The last tick that is applied.
    pub tick: Option<i64>,
    /// Where the provider was when the position got there: host, port and database; null: not known yet.
    pub follows: Option<String>,
    /// The archive that its batches are read from, because the queue has given them away; null: the queue.
    pub source: Option<String>,
    /// Providers that the subscriber has left, and that may keep events for it until they answer.
    pub left: Vec<String>,
    /// Seconds since the oldest event that the subscriber has not applied, ticked or not, by the provider's clock; 0:
    /// all events are applied; null: not known.
    pub lag_seconds: Option<f64>,
    /// Ticks that are not applied yet; null if the provider cannot be asked.
    pub lag_ticks: Option<i64>,
    /// Events that are not applied yet, ticked or not, by the provider's account.
    pub pending_events: Option<i64>,
    /// Rows that the batch being applied has written so far and not committed; null unless the batch takes long.
    pub batch_rows: Option<i64>,
    /// The subscriber's state in one word.
    pub state: SubscriberState,
    /// The operator has paused the subscriber.
    pub paused: bool,
    /// Rows that were not as their change said.
    pub conflicts: i64,
    /// Conflicts found in the last day.
    pub recent_conflicts: i64,
    /// Why the subscriber does not go on, or why it cannot be asked.
    pub last_error: Option<String>,
    /// The reasons why the subscriber is not healthy, the worst first.
    pub reasons: Vec<Reason>,
    /// Number of tables in each state; states without tables are left out.
    pub tables: BTreeMap<String, u64>,
    /// The tables that are not `ok`, each with what is known of it.
    pub table_list: Vec<TableStatus>,
    /// The tables with conflicts, those with the most first, at most twenty.
    pub conflict_list: Vec<ConflictStatus>,
}

/// A table with conflicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConflictStatus {
    /// The table's name as one word.
    pub table: String,
    /// Rows that were not as their changes said.
    pub conflicts: i64,
}

impl SubscriberStatus {
    /// Whether readers may be sent to this subscriber: its replay goes on, all its tables are in sync, and the oldest
    /// change that is not applied is no older than `max_lag` seconds. Without such a limit it counts, too, while its
    /// provider is away. Both answers say why.
    pub fn keeps_up(&self, max_lag: Option<f64>) -> Result<String, String> {
        let of = &self.consumer;
        if let Some(role) = &self.role
            && !matches!(role.role, "standby" | "reader")
        {
            return Err(format!("{of}: the database is {}", role.role));
        }
        let state = self.state.as_str();
        match self.state {
            SubscriberState::Level | SubscriberState::Behind => {}
            SubscriberState::Waiting if max_lag.is_none() => {}
            SubscriberState::Waiting
            | SubscriberState::Starting
            | SubscriberState::Copying
            | SubscriberState::Parked
            | SubscriberState::Paused
            | SubscriberState::Stopped
            | SubscriberState::Resting
            | SubscriberState::Unreachable => return Err(format!("{of}: {state}")),
        }
        match (max_lag, self.lag_seconds) {
            (Some(_), None) => Err(format!("{of}: {state}, its lag is not known")),
            (Some(limit), Some(lag)) if lag > limit => {
                Err(format!("{of}: {state}, lag {}", output::seconds(lag)))
            }
            (_, Some(lag)) => Ok(format!("{of}: {state}, lag {}", output::seconds(lag))),
            (None, None) => Ok(format!("{of}: {state}")),
        }
    }
}

/// The state of a subscriber in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriberState {
    /// The daemon runs and has not connected to this subscriber yet.
    Starting,
    /// Some table is not in sync yet.
    Copying,
    /// All tables are in sync, some ticks late.
    Behind,
    /// The subscriber has applied all that was committed on the provider until a moment ago.
    Level,
    /// The subscriber goes on without some tables, which are parked.
    Parked,
    /// The operator has paused the subscriber.
    Paused,
    /// The daemon waits for something that may pass by itself, such as a provider that cannot be reached.
    Waiting,
    /// The subscriber does not go on until somebody acts: no daemon runs, or there is an error.
    Stopped,
    /// The database is the provider of its set, or is fenced: it applies nothing, as its role asks.
    Resting,
    /// The subscriber cannot be asked.
    Unreachable,
}

impl SubscriberState {
    /// The state as printed.
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
            SubscriberState::Resting => "resting",
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
    /// The subscriber's table that the rows are written to, as one word; null if the subscriber cannot be asked.
    pub target: Option<String>,
    /// The columns that are replicated, by the names that they had when the table was added; null: all.
    pub columns: Option<Vec<String>>,
    /// The condition on the rows that are replicated; null: all.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// The condition on the subscriber's rows that are this job's, where other jobs write the table, too; null: all.
    pub merge: Option<String>,
    /// `-`, `in-copy`, `catching-up`, `wanna-sync`, `ok`, `parked`, or `unreachable`.
    pub state: String,
    /// Rows copied so far.
    pub rows_copied: Option<i64>,
    /// Bytes copied so far.
    pub bytes_copied: Option<i64>,
    /// Rows that the provider's statistics promise.
    pub rows_estimated: Option<i64>,
    /// Rows copied in a second so far, while the table is copied.
    pub rows_per_second: Option<f64>,
    /// Seconds until the table's rows are copied, at that rate, while the table is copied.
    pub seconds_left: Option<f64>,
    /// Indexes and constraints that are still to be built after the table's copy; null: none.
    pub objects_left: Option<i64>,
    /// How many indexes and constraints are built after the copy, done or not.
    pub objects: Option<i64>,
    /// Share of the work done, from 0 to 1, on the objects that are being built; null: not known.
    pub objects_share: Option<f64>,
    /// Rows that were updated or deleted on the provider and left out here, because the table's identity is
    /// insert-only.
    pub ignored: i64,
    /// Rows that were not as their changes said.
    pub conflicts: Option<i64>,
    /// Why the table is parked, or cannot be asked.
    pub error: Option<String>,
    /// What to do about the error.
    pub advice: Option<String>,
}

impl TableStatus {
    /// What is still to be built after the table's copy, in words; None: nothing.
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
