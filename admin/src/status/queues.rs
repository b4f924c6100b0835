//! The state of tickers: their databases, the queues there, consumers and holders.

use futures::future::join_all;
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::our_sessions::OurSessions;
use sql::queue::QueueInfo;

use super::ask::{Asking, OnThisHost, on_this_host};
use super::facts::{capture_problems, consumers_of, holders_of, tick_facts, waits};
use super::report::{CaptureStatus, DatabaseStatus, QueuePace, QueueStatus, TickerStatus};
use super::roles::{of_queue, roles};
use super::verdict::{self, RoleFacts};
use crate::config::TickerConfig;
use crate::databases;

/// The state of a ticker and of the queues of its databases.
pub async fn of_ticker(config: &TickerConfig, asking: &Asking) -> TickerStatus {
    let name = ApplicationName::new(Purpose::Status, &config.daemon.job_name);
    let found = asking.ask(async { databases::of_ticker::<anyhow::Error>(config, &name).await });
    let databases = match found.await {
        Err(unasked) => vec![DatabaseStatus {
            name: config.db.dbname().to_owned(),
            queues: Vec::new(),
            error: Some(unasked.error),
        }],
        Ok(found) => {
            let asker = Asker {
                name: &name,
                asking,
                wanted: &config.queues,
                may_lack_queue: found.may_lack_queue,
            };
            let mut all = join_all(found.connections.iter().map(|info| asker.database(info))).await;
            let is_one = |one: &DatabaseStatus| one.error.is_some() || !one.queues.is_empty();
            all.retain(|one| !found.may_lack_queue || is_one(one));
            all
        }
    };
    let OnThisHost { pid, problem } = on_this_host(&config.daemon);
    TickerStatus {
        job: config.daemon.job_name.clone(),
        running: pid.is_some(),
        pid,
        pid_problem: problem,
        databases,
    }
}

/// What is asked of each database of a ticker.
struct Asker<'a> {
    name: &'a ApplicationName,
    asking: &'a Asking,
    /// Queues that the database must have.
    wanted: &'a [String],
    /// The database is left out of the status if it has no queue.
    may_lack_queue: bool,
}

impl Asker<'_> {
    async fn database(&self, info: &ConnectInfo) -> DatabaseStatus {
        let asked = self.asking.ask(async {
            let session = info.connect(self.name).await?;
            if sql::queue::maker(&*session).await?.is_none() {
                if self.may_lack_queue {
                    return Ok(None);
                }
                anyhow::bail!("the queue is not installed here, run ticker install");
            }
            queues(&session).await.map(Some)
        });
        let (mut queues, error) = match asked.await {
            Ok(queues) => (queues, None),
            Err(unasked) => (None, Some(unasked.error)),
        };
        if let Some(queues) = &mut queues {
            for name in self.wanted {
                if !queues.iter().any(|queue| queue.name == *name) {
                    queues.push(missing_queue(name));
                }
            }
        }
        DatabaseStatus {
            name: info.dbname().to_owned(),
            // Empty if the queues are not known: the error beside them says why.
            queues: queues.unwrap_or_default(),
            error,
        }
    }
}

fn missing_queue(name: &str) -> QueueStatus {
    QueueStatus {
        name: name.to_owned(),
        last_tick: None,
        tick_age_seconds: None,
        pending_events: None,
        consumers: 0,
        bytes: 0,
        error: Some("not there, run ticker install".to_owned()),
        reasons: Vec::new(),
        ticks: None,
        pace: None,
        consumer_list: Vec::new(),
        holder_list: Vec::new(),
        capture_problems: Vec::new(),
        role: None,
    }
}

/// The state of the queues of a database, with their consumers. Errors: the queue is not installed in the database, or
/// the database cannot be asked.
pub async fn queues(client: &tokio_postgres::Client) -> anyhow::Result<Vec<QueueStatus>> {
    let (queues, consumers, holders, problems, sessions, roles) = futures::try_join!(
        sql::queue::list(client),
        sql::queue::consumer::list(client),
        sql::queue::holder::list(client),
        capture_problems(client),
        sql::our_sessions::list(client),
        roles(client),
    )?;
    let status = |queue: QueueInfo| QueueStatus {
        reasons: reasons(&queue, &sessions, of_queue(&roles, &queue.name).as_ref()),
        role: of_queue(&roles, &queue.name),
        ticks: Some(tick_facts(&queue, &sessions)),
        consumer_list: consumers_of(&queue.name, &consumers),
        holder_list: holders_of(&queue.name, &holders),
        capture_problems: problems
            .iter()
            .filter(|problem| problem.queue == queue.name)
            .map(|problem| CaptureStatus {
                table: problem.table.to_string(),
                problem: problem.problem.clone(),
            })
            .collect(),
        last_tick: queue.last_tick.map(|tick| tick.0),
        tick_age_seconds: queue.tick_age_seconds,
        pending_events: queue.pending_events,
        consumers: queue.consumers,
        bytes: queue.bytes,
        error: reasons(&queue, &sessions, None)
            .first()
            .map(|reason| reason.what.clone()),
        pace: Some(QueuePace {
            events_per_second: queue.events_per_second,
            tables: queue.tables,
            current_table: queue.current_table,
            rotation_period_seconds: queue.rotation_period_seconds,
            rotated_seconds_ago: queue.rotated_seconds_ago,
            ticker_max_count: queue.max_count,
            ticker_max_lag_seconds: queue.max_lag_seconds,
            ticker_idle_period_seconds: queue.idle_period_seconds,
            ticker_paused: queue.paused,
            external_ticker: queue.external_ticker,
            insert_disabled: queue.insert_disabled,
            max_tables: queue.max_tables,
            retention_age_seconds: queue.retention_age_seconds,
            retention_bytes: queue.retention_bytes,
            retention_action: queue.retention_action,
        }),
        name: queue.name,
    };
    Ok(queues.into_iter().map(status).collect())
}

/// What is wrong with a queue, as far as its own database shows.
fn reasons(
    queue: &QueueInfo,
    sessions: &OurSessions,
    role: Option<&RoleFacts>,
) -> Vec<verdict::Reason> {
    let of_role = role.into_iter().flat_map(|role| role.reasons("database"));
    let late = tick_facts(queue, sessions).reason();
    let waits = verdict::waits("provider", &waits("", sessions), &sessions.standbys);
    late.into_iter().chain(waits).chain(of_role).collect()
}
