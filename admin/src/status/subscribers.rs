//! How replays stand: their provider, their subscribers and the tables there.

use std::collections::BTreeMap;

use futures::future::{join, join_all};
use sql::connect::Session;
use sql::standing::{self, SubscriberStanding};
use sql::table_state::{self, State, TableRow};

use super::ask::{pid, within};
use super::report::{ProviderStatus, ReplayStatus, SubscriberState, SubscriberStatus, TableStatus};
use crate::config::{ReplayConfig, SubscriberConfig};

/// What a subscriber without our tables, or without this consumer, comes to.
const NOT_INSTALLED: &str = "not installed here, run replay install";

/// Younger than this, what a subscriber shows counts as level: under load there always is a tick
/// that is just being applied.
const LEVEL_SECONDS: f64 = 2.0;

/// How a replay, its provider and its subscribers stand.
pub async fn of_replay(config: &ReplayConfig) -> ReplayStatus {
    let name = format!("trunkline status {}", config.daemon.job_name);
    let asked = config.subscribers.iter().map(|subscriber| {
        let name = &name;
        async move { (subscriber, account(config, subscriber, name).await) }
    });
    let (provider, accounts) = join(provider(config, &name), join_all(asked)).await;
    let pid = pid(&config.daemon);
    let mut subscribers = Vec::new();
    for (subscriber, account) in accounts {
        subscribers.push(subscriber_status(subscriber, account, &provider, pid.is_some()).await);
    }
    ReplayStatus {
        job: config.daemon.job_name.clone(),
        queue: config.queue.clone(),
        running: pid.is_some(),
        pid,
        provider: provider.status,
        subscribers,
    }
}

/// The provider's account, and a session to ask its clock with.
struct Provider {
    status: ProviderStatus,
    epoch: Option<i64>,
    pending_events: BTreeMap<String, i64>,
    session: Option<Session>,
}

async fn provider(config: &ReplayConfig, name: &str) -> Provider {
    let asked = within(async {
        let session = config.provider.connect(name).await?;
        if !sql::queue::is_installed(&*session).await? {
            return Ok((session, None, Vec::new()));
        }
        let queues = sql::queue::list(&*session).await?;
        let consumers = sql::consumer::list(&*session).await?;
        let queue = queues.into_iter().find(|queue| queue.name == config.queue);
        Ok((session, queue, consumers))
    });
    match asked.await {
        Err(error) => Provider {
            status: ProviderStatus {
                error: Some(error),
                ..ProviderStatus::default()
            },
            epoch: None,
            pending_events: BTreeMap::new(),
            session: None,
        },
        Ok((session, queue, consumers)) => Provider {
            status: ProviderStatus {
                reachable: true,
                last_tick: queue.as_ref().and_then(|q| q.last_tick).map(|tick| tick.0),
                error: match queue {
                    Some(_) => None,
                    None => Some(format!("there is no queue {}", config.queue)),
                },
            },
            epoch: queue.and_then(|queue| queue.epoch).map(|epoch| epoch.0),
            pending_events: consumers
                .into_iter()
                .filter(|consumer| consumer.queue == config.queue)
                .filter_map(|consumer| Some((consumer.name, consumer.pending_events?)))
                .collect(),
            session: Some(session),
        },
    }
}

/// A subscriber's own account; an error is one that keeps it from being asked.
type Account = Result<Option<(SubscriberStanding, Vec<TableRow>)>, String>;

async fn account(config: &ReplayConfig, subscriber: &SubscriberConfig, name: &str) -> Account {
    let worker = format!("trunkline apply {}", config.daemon.job_name);
    within(async {
        let session = subscriber.db.connect(name).await?;
        let standing = standing::subscriber(&*session, &subscriber.consumer, &worker).await?;
        match standing {
            None => Ok(None),
            Some(standing) => {
                let tables = table_state::list(&*session, &subscriber.consumer).await?;
                Ok(Some((standing, tables)))
            }
        }
    })
    .await
}

async fn subscriber_status(
    config: &SubscriberConfig,
    account: Account,
    provider: &Provider,
    daemon: bool,
) -> SubscriberStatus {
    let mut status = SubscriberStatus {
        name: config.name.clone(),
        consumer: config.consumer.clone(),
        reachable: account.is_ok(),
        epoch: None,
        tick: None,
        lag_seconds: None,
        lag_ticks: None,
        pending_events: None,
        batch_rows: None,
        state: SubscriberState::Unreachable,
        paused: false,
        conflicts: 0,
        recent_conflicts: 0,
        last_error: None,
        tables: BTreeMap::new(),
        table_list: Vec::new(),
    };
    let (standing, rows) = match account {
        Err(error) => {
            status.last_error = Some(error);
            return status;
        }
        Ok(None) => {
            status.state = SubscriberState::Stopped;
            status.last_error = Some(NOT_INSTALLED.to_owned());
            return status;
        }
        Ok(Some(account)) => account,
    };
    status.epoch = Some(standing.epoch.0);
    status.tick = Some(standing.tick.0);
    status.paused = standing.paused;
    // What a process that has died wrote is gone.
    status.batch_rows = standing.batch_rows.filter(|_| standing.worker_connected);
    status.conflicts = standing.conflicts;
    status.recent_conflicts = standing.recent_conflicts;
    for row in &rows {
        *status.tables.entry(row.state.to_string()).or_default() += 1;
    }
    status.table_list = rows
        .iter()
        .filter(|row| row.state != State::Ok)
        .map(|row| table(config, row))
        .collect();
    let same_queue = provider.epoch == Some(standing.epoch.0);
    if let (true, Some(last)) = (same_queue, provider.status.last_tick) {
        let ticks = (last - standing.tick.0).max(0);
        status.lag_ticks = Some(ticks);
        status.lag_seconds = match (ticks, &provider.session) {
            (0, _) => Some(0.0),
            (_, None) => None,
            (_, Some(session)) => standing::seconds_since(&**session, standing.tick_time)
                .await
                .ok(),
        };
        // The consumer's own tick trails what is committed by one step.
        status.pending_events = match ticks {
            0 => Some(0),
            _ => provider.pending_events.get(&config.consumer).copied(),
        };
    }
    status.state = state(&standing, &status, daemon);
    status.last_error = standing.last_error.or_else(|| {
        let other = provider.epoch.is_some() && !same_queue;
        other.then(|| "the provider's queue is another one than the one followed here".to_owned())
    });
    status
}

/// The one word, decided from the facts.
fn state(
    standing: &SubscriberStanding,
    status: &SubscriberStatus,
    daemon: bool,
) -> SubscriberState {
    let in_step = status
        .table_list
        .iter()
        .all(|table| table.state == "parked");
    if standing.paused {
        SubscriberState::Paused
    } else if standing.last_error.is_some() || !(daemon || standing.worker_connected) {
        SubscriberState::Stopped
    } else if !standing.worker_connected {
        SubscriberState::Starting
    } else if !in_step {
        SubscriberState::Copying
    } else if status.lag_ticks == Some(0) || status.lag_seconds.is_some_and(|s| s < LEVEL_SECONDS) {
        SubscriberState::Level
    } else {
        SubscriberState::Behind
    }
}

/// The tables of each subscriber, for `replay tables`. Err: that subscriber cannot be asked, or
/// replay is not installed there.
pub async fn tables_of(
    config: &ReplayConfig,
) -> Vec<(&SubscriberConfig, Result<Vec<TableStatus>, String>)> {
    let name = format!("trunkline tables {}", config.daemon.job_name);
    let asked = config.subscribers.iter().map(|subscriber| {
        let name = &name;
        async move {
            let account = account(config, subscriber, name).await;
            let tables = match account {
                Err(error) => Err(error),
                Ok(None) => Err(NOT_INSTALLED.to_owned()),
                Ok(Some((_, rows))) => Ok(rows
                    .iter()
                    .map(|row| TableStatus {
                        error: row.error_with_rows().map(str::to_owned),
                        ..table(subscriber, row)
                    })
                    .collect()),
            };
            (subscriber, tables)
        }
    });
    join_all(asked).await
}

fn table(config: &SubscriberConfig, row: &TableRow) -> TableStatus {
    let loads = row.state == State::InCopy && row.tick.is_none();
    let rate = row
        .seconds_since_start
        .filter(|seconds| loads && *seconds > 0.0)
        .map(|seconds| row.rows_copied as f64 / seconds);
    let left = (row.rows_estimated - row.rows_copied).max(0) as f64;
    TableStatus {
        subscriber: config.name.clone(),
        table: row.table.to_string(),
        target: Some(row.target().to_string()),
        columns: row.mapping.columns.as_ref().map(|columns| {
            let names = columns.iter().map(|column| column.name.clone());
            names.collect()
        }),
        filter: row
            .mapping
            .filter
            .as_ref()
            .map(|filter| filter.condition.clone()),
        state: row.state.to_string(),
        rows_copied: Some(row.rows_copied),
        bytes_copied: Some(row.bytes_copied),
        rows_estimated: Some(row.rows_estimated),
        rows_per_second: rate,
        seconds_left: rate.filter(|rate| *rate > 0.0).map(|rate| left / rate),
        ignored: row.ignored,
        conflicts: Some(row.conflicts),
        error: row.error.clone(),
        advice: row.advice.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sql::tick::{Epoch, TickId};

    use super::*;

    fn standing() -> SubscriberStanding {
        SubscriberStanding {
            epoch: Epoch(1),
            tick: TickId(5),
            tick_time: SystemTime::UNIX_EPOCH,
            paused: false,
            batch_rows: None,
            conflicts: 0,
            recent_conflicts: 0,
            last_error: None,
            worker_connected: true,
        }
    }

    async fn word(standing: SubscriberStanding, last_tick: i64, daemon: bool) -> SubscriberState {
        let provider = Provider {
            status: ProviderStatus {
                reachable: true,
                last_tick: Some(last_tick),
                error: None,
            },
            epoch: Some(1),
            pending_events: BTreeMap::new(),
            session: None,
        };
        let config = SubscriberConfig {
            name: None,
            db: "host=none user=u".parse().unwrap(),
            consumer: "j".into(),
        };
        let account = Ok(Some((standing, Vec::new())));
        subscriber_status(&config, account, &provider, daemon)
            .await
            .state
    }

    #[tokio::test]
    async fn the_state_follows_from_the_facts() {
        assert_eq!(word(standing(), 5, true).await, SubscriberState::Level);
        assert_eq!(word(standing(), 9, true).await, SubscriberState::Behind);
        let paused = SubscriberStanding {
            paused: true,
            ..standing()
        };
        assert_eq!(word(paused, 5, true).await, SubscriberState::Paused);
        let idle = SubscriberStanding {
            worker_connected: false,
            ..standing()
        };
        assert_eq!(word(idle.clone(), 5, true).await, SubscriberState::Starting);
        assert_eq!(word(idle, 5, false).await, SubscriberState::Stopped);
        // Its daemon may run on another host.
        assert_eq!(word(standing(), 5, false).await, SubscriberState::Level);
    }
}
