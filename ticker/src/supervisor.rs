//! The daemon's body: keeps one loop for each database, follows the config, reports the start, writes the stats line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use admin::config::{Databases, TickerConfig};
use admin::daemon::{Ready, Signals};
use sql::connect::ConnectInfo;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::database_loop;
use crate::databases;
use crate::pace::Pace;
use crate::stats::Stats;

/// How often the databases of "all" are listed anew.
const RECOUNT: Duration = Duration::from_secs(60);

/// How long a start waits for the databases before it reports which are missing.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Runs until it is asked to stop.
///
/// # Errors
/// No error ends it: databases that fail are tried again.
pub(crate) async fn run(
    config: TickerConfig,
    ready: Ready,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let (news, mut heard) = mpsc::unbounded_channel();
    let mut fleet = Fleet::new(&config, signals.clone(), news);
    let mut start = Start::new(ready);
    let mut config = config;
    fleet.adjust(&config, &mut start).await;
    start.settle();

    let mut recount = interval_at(Instant::now() + RECOUNT, RECOUNT);
    let mut stats = interval_at(Instant::now() + config.stats_period, config.stats_period);
    let patience = tokio::time::sleep(START_PATIENCE);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            () = signals.stop.cancelled() => break,
            Some((database, error)) = heard.recv() => start.heard(database, error),
            () = &mut patience, if start.is_open() => start.give_up(),
            _ = stats.tick() => fleet.stats.log(),
            _ = recount.tick(), if config.databases == Databases::All => {
                fleet.adjust(&config, &mut start).await;
            }
            Some(ended) = fleet.tasks.join_next_with_id(), if !fleet.tasks.is_empty() => {
                fleet.ended(&ended);
                fleet.adjust(&config, &mut start).await;
            }
            Ok(()) = signals.reload.changed() => {
                if let Some(new) = reload(&config) {
                    stats = interval_at(Instant::now() + new.stats_period, new.stats_period);
                    config = new;
                    fleet.adjust(&config, &mut start).await;
                }
            }
        }
    }
    fleet.stop().await;
    Ok(())
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
    news: mpsc::UnboundedSender<(String, Option<String>)>,
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
    fn new(
        config: &TickerConfig,
        signals: Signals,
        news: mpsc::UnboundedSender<(String, Option<String>)>,
    ) -> Self {
        Self {
            pace: watch::Sender::new(Pace::of(config)),
            signals,
            news,
            stats: Arc::default(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Starts and stops loops until they are those of the config. If the list cannot be read, nothing changes.
    async fn adjust(&mut self, config: &TickerConfig, start: &mut Start) {
        self.pace.send_replace(Pace::of(config));
        let wanted = tokio::select! {
            () = self.signals.stop.cancelled() => return,
            wanted = databases::named(config) => wanted,
        };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(trouble) => {
                tracing::warn!(error = trouble.text(), "cannot list the databases");
                start.missing(trouble.text());
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
                start.expect(name.clone());
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
            news: self.news.clone(),
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

/// What `start -d` waits for: one outcome from each database.
struct Start {
    ready: Option<Ready>,
    expected: BTreeSet<String>,
    problems: Vec<String>,
}

impl Start {
    fn new(ready: Ready) -> Self {
        Self {
            ready: Some(ready),
            expected: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.ready.is_some()
    }

    fn expect(&mut self, database: String) {
        if self.is_open() {
            self.expected.insert(database);
        }
    }

    fn missing(&mut self, problem: String) {
        if self.is_open() {
            self.problems.push(problem);
        }
    }

    fn heard(&mut self, database: String, error: Option<String>) {
        if self.expected.remove(&database) {
            if let Some(error) = error {
                self.problems.push(format!("database {database}: {error}"));
            }
            self.settle();
        }
    }

    fn give_up(&mut self) {
        for database in std::mem::take(&mut self.expected) {
            self.problems
                .push(format!("database {database}: no answer yet"));
        }
        self.settle();
    }

    /// Reports once, as soon as every expected database has an outcome.
    fn settle(&mut self) {
        if !self.expected.is_empty() {
            return;
        }
        let Some(ready) = self.ready.take() else {
            return;
        };
        if self.problems.is_empty() {
            ready.ready();
        } else {
            let mut text = String::new();
            for problem in &self.problems {
                text.push_str(&format!("warning: {problem}\n"));
            }
            text.push_str("started, and trying again\n");
            ready.not_yet(text);
        }
    }
}
