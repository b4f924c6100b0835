//! `ticker status`: how the queues of each database stand, asked from the databases themselves.

use admin::config::TickerConfig;
use admin::exit::{Exit, Failure};
use admin::{daemon, output};
use serde::Serialize;
use sql::connect::ConnectInfo;
use sql::queue::QueueInfo;

use crate::databases;
use crate::trouble::Trouble;

/// A queue whose last tick is older than its idle period by this much, in seconds, is not being ticked.
const LATE_SECONDS: f64 = 15.0;

#[derive(Debug, Serialize)]
struct Status {
    job: String,
    running: bool,
    pid: Option<i32>,
    databases: Vec<DatabaseStatus>,
}

#[derive(Debug, Serialize)]
struct DatabaseStatus {
    name: String,
    error: Option<String>,
    queues: Vec<QueueStatus>,
}

#[derive(Debug, Serialize)]
struct QueueStatus {
    name: String,
    last_tick: Option<i64>,
    tick_age_seconds: Option<f64>,
    pending_events: Option<i64>,
    consumers: i64,
    bytes: i64,
    error: Option<String>,
}

/// Prints the state. [`Exit::Done`] if the daemon runs and every database answered, [`Exit::Running`] if it does not
/// run.
///
/// # Errors
/// The databases cannot be listed; [`Exit::Failed`] after the state if one did not answer.
pub(crate) async fn run(config: &TickerConfig, json: bool) -> Result<Exit, Failure> {
    let pid = daemon::is_running(&config.daemon)?.map(|pid| pid.as_raw());
    let targets = databases::named(config)
        .await
        .map_err(|trouble| Failure::from(anyhow::Error::from(trouble)))?;
    let mut status = Status {
        job: config.daemon.job_name.clone(),
        running: pid.is_some(),
        pid,
        databases: Vec::new(),
    };
    for target in &targets {
        status.databases.push(database(target, config).await);
    }
    if json {
        output::print_json(&status)?;
    } else {
        output::print(&text(&status))?;
    }
    if status.databases.iter().any(|one| one.error.is_some()) {
        return Ok(Exit::Failed);
    }
    Ok(if status.running {
        Exit::Done
    } else {
        Exit::Running
    })
}

async fn database(target: &ConnectInfo, config: &TickerConfig) -> DatabaseStatus {
    let (queues, error) = match queues(target, config).await {
        Ok(queues) => (queues, None),
        Err(trouble) => (Vec::new(), Some(trouble.text())),
    };
    DatabaseStatus {
        name: target.dbname().to_owned(),
        error,
        queues,
    }
}

async fn queues(target: &ConnectInfo, config: &TickerConfig) -> Result<Vec<QueueStatus>, Trouble> {
    let purpose = format!("trunkline status {}", config.daemon.job_name);
    let session = target.connect(&purpose).await?;
    if !sql::queue::is_installed(&*session).await? {
        return Err(Trouble::NotInstalled);
    }
    let found = sql::queue::list(&*session).await?;
    Ok(found.into_iter().map(queue).collect())
}

fn queue(info: QueueInfo) -> QueueStatus {
    QueueStatus {
        error: problem(&info),
        name: info.name,
        last_tick: info.last_tick.map(|tick| tick.0),
        tick_age_seconds: info.tick_age_seconds,
        pending_events: info.pending_events,
        consumers: info.consumers,
        bytes: info.bytes,
    }
}

/// What is wrong with a queue, as far as the queue itself shows it.
fn problem(info: &QueueInfo) -> Option<String> {
    let Some(age) = info.tick_age_seconds else {
        return Some("it has no tick".to_owned());
    };
    if info.paused {
        Some("its ticker is paused".to_owned())
    } else if age > info.idle_period_seconds + LATE_SECONDS {
        Some(format!("no tick for {age:.0} s, see the ticker's log"))
    } else {
        None
    }
}

fn text(status: &Status) -> String {
    let mut text = match status.pid {
        Some(pid) => format!("{} running pid={pid}\n", status.job),
        None => format!("{} not running\n", status.job),
    };
    for database in &status.databases {
        text.push_str(&format!("database {}", output::visible(&database.name)));
        if let Some(error) = &database.error {
            text.push_str(&format!(": {}", output::visible(error)));
        }
        text.push('\n');
        let rows: Vec<Vec<String>> = database.queues.iter().map(row).collect();
        if !rows.is_empty() {
            text.push_str(&output::table(
                &[
                    "Queue",
                    "Last tick",
                    "Age",
                    "Pending",
                    "Consumers",
                    "MB",
                    "Error",
                ],
                &rows,
            ));
        }
    }
    text
}

fn row(queue: &QueueStatus) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        queue.name.clone(),
        or_dash(queue.last_tick.map(|tick| tick.to_string())),
        or_dash(queue.tick_age_seconds.map(|age| format!("{age:.1} s"))),
        or_dash(queue.pending_events.map(|events| events.to_string())),
        queue.consumers.to_string(),
        format!("{:.1}", bytes_to_mb(queue.bytes)),
        or_dash(queue.error.clone()),
    ]
}

#[allow(clippy::cast_precision_loss)]
fn bytes_to_mb(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
