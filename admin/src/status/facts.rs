//! Facts that are gathered in the same way for a ticker's databases, a provider and a subscriber.

use sql::connect::Purpose;
use sql::install::ownership::{self, Schema};
use sql::our_sessions::{OurSession, OurSessions};
use sql::provider::CaptureProblem;
use sql::queue::QueueInfo;
use sql::queue::consumer::ConsumerInfo;
use sql::queue::holder::Holder;

use super::report::{ConsumerStatus, HolderStatus};
use super::verdict::{TickFacts, Wait};

/// The facts of a queue's ticks, from what its database says.
pub(super) fn tick_facts(queue: &QueueInfo, sessions: &OurSessions) -> TickFacts {
    TickFacts {
        age: queue.tick_age_seconds,
        pending: queue.pending_events.unwrap_or(0),
        max_lag: queue.max_lag_seconds,
        idle_period: queue.idle_period_seconds,
        paused: queue.paused,
        external: queue.external_ticker,
        ticker: sessions.ticker,
    }
}

/// The consumers of one queue.
pub(super) fn consumers_of(queue: &str, all: &[ConsumerInfo]) -> Vec<ConsumerStatus> {
    let of_queue = all.iter().filter(|consumer| consumer.queue == queue);
    let status = of_queue.map(|consumer| ConsumerStatus {
        name: consumer.name.clone(),
        last_tick: consumer.last_tick.map(|tick| tick.0),
        lag_seconds: consumer.lag_seconds,
        last_seen_seconds: consumer.last_seen_seconds,
        pending_events: consumer.pending_events,
        batch: consumer.batch,
    });
    status.collect()
}

/// What holds the space of one queue.
pub(super) fn holders_of(queue: &str, all: &[Holder]) -> Vec<HolderStatus> {
    let of_queue = all.iter().filter(|holder| holder.queue == queue);
    let status = of_queue.map(|holder| HolderStatus {
        kind: holder.kind.as_str(),
        name: holder.name.clone(),
        held_seconds: holder.held_seconds,
        held_bytes: holder.held_bytes,
        over_limit: holder.over_limit,
        pid: holder.pid,
        xid: holder.xid,
        detail: holder.detail.clone(),
    });
    status.collect()
}

/// The problems of captured tables, if the database has capture.
pub(super) async fn capture_problems(
    client: &tokio_postgres::Client,
) -> Result<Vec<CaptureProblem>, sql::Error> {
    let proven = ownership::prove(client, Schema::PROVIDER).await?;
    if proven.contains(&Schema::Trunkline) {
        sql::provider::capture_problems(client).await
    } else {
        Ok(Vec::new())
    }
}

/// The waiting sessions of a job, and of any ticker in the database.
pub(super) fn waits(job: &str, sessions: &OurSessions) -> Vec<Wait> {
    let is_tickers = |one: &OurSession| one.is_for(Purpose::Ticker) || one.is_for(Purpose::Upkeep);
    let concerns = |one: &OurSession| is_tickers(one) || one.is_of(job);
    let standby = sessions
        .waiting_for_standby()
        .into_iter()
        .map(|one| (one, None));
    let lock = sessions.waiting_for_lock().into_iter();
    let lock = lock.map(|(one, holders)| (one, Some(holders.to_owned())));
    standby
        .chain(lock)
        .filter(|(one, _)| concerns(one))
        .map(|(one, lock)| Wait {
            session: one.name.clone(),
            seconds: one.seconds.unwrap_or(0.0),
            lock,
        })
        .collect()
}
