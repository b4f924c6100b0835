//! Facts that are gathered in the same way for a ticker's databases, a provider and a subscriber.

use sql::connect::Purpose;
use sql::install::ownership::{self, Schema};
use sql::our_sessions::{OurSession, OurSessions};
use sql::provider::CaptureProblem;
use sql::queue::QueueInfo;

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
