//! How tickers stand: their databases, the queues there, consumers and holders.

use futures::future::{join_all, join4};
use sql::connect::ConnectInfo;
use sql::ownership::{self, Schema};
use sql::provider::CaptureProblem;
use sql::queue::QueueInfo;
use sql::standing;

use super::ask::{pid, within};
use super::report::{
    CaptureStatus, ConsumerStatus, DatabaseStatus, HolderStatus, QueuePace, QueueStatus,
    TickerStatus,
};
use crate::config::{Databases, TickerConfig};

/// A queue whose last tick is older than its idle period by this much is not being ticked.
const LATE_SECONDS: f64 = 15.0;

/// How a ticker and the queues of its databases stand.
pub async fn of_ticker(config: &TickerConfig) -> TickerStatus {
    let name = format!("trunkline status {}", config.daemon.job_name);
    let databases = match &config.databases {
        Databases::FromDb => vec![database(&config.db, &name, &config.queues, false).await],
        Databases::Named(names) => {
            let infos: Vec<_> = names.iter().map(|db| config.db.with_dbname(db)).collect();
            let asked = infos
                .iter()
                .map(|info| database(info, &name, &config.queues, false));
            join_all(asked).await
        }
        Databases::All => all_databases(config, &name).await,
    };
    let pid = pid(&config.daemon);
    TickerStatus {
        job: config.daemon.job_name.clone(),
        running: pid.is_some(),
        pid,
        databases,
    }
}

/// Those databases of the server that have a queue.
async fn all_databases(config: &TickerConfig, name: &str) -> Vec<DatabaseStatus> {
    let listed = within(async {
        let session = config.db.connect(name).await?;
        Ok(standing::databases(&*session).await?)
    });
    match listed.await {
        Err(error) => vec![DatabaseStatus {
            name: config.db.dbname().to_owned(),
            queues: Vec::new(),
            error: Some(error),
        }],
        Ok(names) => {
            let infos: Vec<_> = names.iter().map(|db| config.db.with_dbname(db)).collect();
            let asked = infos.iter().map(|info| database(info, name, &[], true));
            let mut all = join_all(asked).await;
            all.retain(|database| database.error.is_some() || !database.queues.is_empty());
            all
        }
    }
}

async fn database(
    info: &ConnectInfo,
    name: &str,
    wanted: &[String],
    may_lack_schema: bool,
) -> DatabaseStatus {
    let asked = within(async {
        let session = info.connect(name).await?;
        if sql::queue::maker(&*session).await?.is_none() {
            if may_lack_schema {
                return Ok(Vec::new());
            }
            anyhow::bail!("the queue is not installed here, run ticker install");
        }
        queues(&session).await
    });
    let (mut queues, error) = match asked.await {
        Ok(queues) => (queues, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if error.is_none() {
        for name in wanted {
            if !queues.iter().any(|queue| queue.name == *name) {
                queues.push(missing_queue(name));
            }
        }
    }
    DatabaseStatus {
        name: info.dbname().to_owned(),
        queues,
        error,
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
        pace: None,
        consumer_list: Vec::new(),
        holder_list: Vec::new(),
        capture_problems: Vec::new(),
    }
}

/// How the queues of a database stand, with their consumers. Errors: the queue is not installed there, or it cannot
/// be asked.
pub async fn queues(client: &tokio_postgres::Client) -> anyhow::Result<Vec<QueueStatus>> {
    let (queues, consumers, holders, problems) = join4(
        sql::queue::list(client),
        sql::consumer::list(client),
        sql::holder::list(client),
        capture_problems(client),
    )
    .await;
    let (consumers, holders, problems) = (consumers?, holders?, problems?);
    let of_queue = |queue: QueueInfo| QueueStatus {
        consumer_list: consumers
            .iter()
            .filter(|consumer| consumer.queue == queue.name)
            .map(|consumer| ConsumerStatus {
                name: consumer.name.clone(),
                last_tick: consumer.last_tick.map(|tick| tick.0),
                lag_seconds: consumer.lag_seconds,
                last_seen_seconds: consumer.last_seen_seconds,
                pending_events: consumer.pending_events,
                batch: consumer.batch,
            })
            .collect(),
        holder_list: holders
            .iter()
            .filter(|holder| holder.queue == queue.name)
            .map(|holder| HolderStatus {
                kind: holder.kind.as_str(),
                name: holder.name.clone(),
                held_seconds: holder.held_seconds,
                held_bytes: holder.held_bytes,
                over_limit: holder.over_limit,
                pid: holder.pid,
                xid: holder.xid,
                detail: holder.detail.clone(),
            })
            .collect(),
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
        error: problem(&queue),
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
    Ok(queues?.into_iter().map(of_queue).collect())
}

/// What is wrong with captured tables, where there is capture.
async fn capture_problems(
    client: &tokio_postgres::Client,
) -> Result<Vec<CaptureProblem>, sql::Error> {
    let proven = ownership::prove(client, Schema::PROVIDER).await?;
    if proven.contains(&Schema::Trunkline) {
        sql::provider::capture_problems(client).await
    } else {
        Ok(Vec::new())
    }
}

/// What is wrong with a queue, as far as the queue itself shows it.
fn problem(queue: &QueueInfo) -> Option<String> {
    let Some(age) = queue.tick_age_seconds else {
        return Some("it has no tick".to_owned());
    };
    if queue.paused {
        Some("its ticker is paused".to_owned())
    } else if age > queue.idle_period_seconds + LATE_SECONDS && !queue.external_ticker {
        Some(format!("no tick for {age:.0} s, see the ticker's log"))
    } else {
        None
    }
}
