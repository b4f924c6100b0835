//! The daemon's body: keeps one loop for each database, follows the config, reports the start, writes the stats line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admin::config::{Databases, TickerConfig};
use admin::daemon::{FirstReports, Ready, Reports, Signals};
use admin::http;
use sql::connect::ConnectInfo;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::database::{Database, task_name};
use crate::database_loop;
use crate::databases;
use crate::pace::Pace;
use crate::stats::Stats;

/// How often the databases of "all" are listed anew.
const RECOUNT: Duration = Duration::from_secs(60);

/// Runs until it is asked to stop.
///
/// # Errors
/// No error ends it: databases that fail are tried again.
pub(crate) async fn run(
    config: TickerConfig,
    ready: Ready,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let (mut first, reports) = FirstReports::new(ready);
    let mut fleet = Fleet::new(&config, signals.clone(), reports);
    let mut config = config;
    fleet.adjust(&config, &mut first).await;
    let mut page = Page::default();
    page.adjust(&config, &fleet, &mut first).await;
    first.settle();

    let mut recount = interval_at(Instant::now() + RECOUNT, RECOUNT);
    let mut stats = interval_at(Instant::now() + config.stats_period, config.stats_period);
    loop {
        tokio::select! {
            () = signals.stop.cancelled() => break,
            () = first.listen() => {}
            _ = stats.tick() => fleet.stats.log(),
            _ = recount.tick(), if config.databases == Databases::All => {
                fleet.adjust(&config, &mut first).await;
            }
            Some(ended) = fleet.tasks.join_next_with_id(), if !fleet.tasks.is_empty() => {
                fleet.ended(&ended);
                fleet.adjust(&config, &mut first).await;
            }
            Ok(()) = signals.reload.changed() => {
                if let Some(new) = reload(&config) {
                    stats = interval_at(Instant::now() + new.stats_period, new.stats_period);
                    config = new;
                    fleet.adjust(&config, &mut first).await;
                    page.adjust(&config, &fleet, &mut first).await;
                }
            }
        }
    }
    fleet.stop().await;
    Ok(())
}

/// The status page, which is there while the config names a port.
#[derive(Default)]
struct Page {
    shown: Option<TickerConfig>,
    task: JoinSet<()>,
}

impl Page {
    /// Starts the page anew where the config is another one. Its history begins again.
    async fn adjust(&mut self, config: &TickerConfig, fleet: &Fleet, first: &mut FirstReports) {
        if self.shown.as_ref() == Some(config) {
            return;
        }
        // The port must be free before the next one asks for it.
        self.task.shutdown().await;
        self.shown = Some(config.clone());
        if let Some(port) = &config.daemon.port {
            first.expect(http::TASK_NAME);
            let (stats, reports) = (Arc::clone(&fleet.stats), fleet.reports.clone());
            self.task.spawn(crate::http::run(
                config.clone(),
                port.clone(),
                stats,
                reports,
            ));
        }
    }
}

/// The config as the file has it now; None: the file is wrong, and the old config stays.
fn reload(config: &TickerConfig) -> Option<TickerConfig> {
    match TickerConfig::load(&config.daemon.config_file) {
        Ok(new) => {
            tracing::info!("config read again");
            Some(new)
        }
        Err(error) => {
            tracing::error!(
                error = admin::exit::one_line(&error),
                "config is wrong, keeping the old one"
            );
            None
        }
    }
}

/// The running loops, one for each database.
struct Fleet {
    pace: watch::Sender<Pace>,
    signals: Signals,
    reports: Reports,
    stats: Arc<Stats>,
    tasks: JoinSet<()>,
    running: BTreeMap<String, Running>,
}

struct Running {
    connect: ConnectInfo,
    stop: CancellationToken,
    task: tokio::task::Id,
}

impl Fleet {
    fn new(config: &TickerConfig, signals: Signals, reports: Reports) -> Self {
        Self {
            pace: watch::Sender::new(Pace::of(config)),
            signals,
            reports,
            stats: Arc::default(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Starts and stops loops until they are those of the config. If the list cannot be read, nothing changes.
    async fn adjust(&mut self, config: &TickerConfig, first: &mut FirstReports) {
        self.pace.send_replace(Pace::of(config));
        let wanted = tokio::select! {
            () = self.signals.stop.cancelled() => return,
            wanted = databases::named(config) => wanted,
        };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(trouble) => {
                tracing::warn!(error = trouble.text(), "cannot list the databases");
                first.missing(trouble.text());
                return;
            }
        };
        let wanted: BTreeMap<String, ConnectInfo> = wanted
            .into_iter()
            .map(|connect| (connect.dbname().to_owned(), connect))
            .collect();
        self.running.retain(|name, running| {
            let stays = wanted.get(name) == Some(&running.connect);
            if !stays {
                tracing::info!(database = name, "no longer in the config");
                running.stop.cancel();
            }
            stays
        });
        for (name, connect) in wanted {
            if !self.running.contains_key(&name) {
                first.expect(&task_name(&name));
                self.spawn(name, connect, config);
            }
        }
    }

    fn spawn(&mut self, name: String, connect: ConnectInfo, config: &TickerConfig) {
        let stop = self.signals.stop.child_token();
        let handle = self.tasks.spawn(database_loop::run(Database {
            connect: connect.clone(),
            job_name: config.daemon.job_name.clone(),
            pace: self.pace.subscribe(),
            stop: stop.clone(),
            stop_now: self.signals.stop_now.clone(),
            stats: Arc::clone(&self.stats),
            reports: self.reports.clone(),
        }));
        let task = handle.id();
        self.running.insert(
            name,
            Running {
                connect,
                stop,
                task,
            },
        );
    }

    /// A loop has ended: it was told to end, or it has a bug, and the next `adjust` starts it again.
    fn ended(&mut self, result: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match result {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(
                    error = error.to_string(),
                    "a database's loop broke, starting it again"
                );
                error.id()
            }
        };
        self.running.retain(|_, running| running.task != id);
    }

    async fn stop(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
