//! The daemon: runs every subscriber of the config side by side, until a signal ends it.

use std::{collections::HashMap, sync::Arc};

use admin::{
    config::{ReplayConfig, SubscriberConfig},
    daemon::{Beat, Body, FirstReports, Ready, Signals},
};
use sql::connect::{ApplicationName, Purpose};
use sql::install::ownership::Schema;
use tokio::{
    sync::{Mutex, Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    http,
    join::choose::AutoAdd,
    queue::ticks::{Listener, Requests, Ticks},
    reading::{feed::Feed, reader, shared::Readers, tick_by_tick::TickByTick},
    subscriber::{
        life,
        shared::{JobSettings, Subscription},
    },
};

/// The least number of tables that may catch up at the same time.
const CATCH_UPS: usize = 4;

/// The daemon's body, which runs once log and runtime exist.
pub(crate) fn body(config: ReplayConfig) -> impl FnOnce(Ready, Signals) -> Body {
    move |ready, signals| Box::pin(run(config, ready, signals))
}

/// Runs the subscribers. Each HUP reads the config again, and starts the subscribers anew if the config has changed.
async fn run(mut config: ReplayConfig, ready: Ready, mut signals: Signals) -> anyhow::Result<()> {
    loop {
        let crew = Crew::start(&config, ready.clone(), &signals.stop)?;
        let crew = crew.run(&mut signals, &config).await;
        match crew {
            Some(new) => config = new,
            None => return Ok(()),
        }
    }
}

/// The tasks that one reading of the config has started.
struct Crew {
    tasks: JoinSet<()>,
    readers: Arc<Readers>,
    subscriptions: Vec<Arc<Subscription>>,
    first: FirstReports,
    stop: CancellationToken,
}

impl Crew {
    fn start(
        config: &ReplayConfig,
        ready: Ready,
        stop: &CancellationToken,
    ) -> anyhow::Result<Crew> {
        let stop = stop.child_token();
        let (mut first, reports) = FirstReports::new(ready);
        let (listener, ticks, requests) = Listener::new(config.loop_delay);
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run(
            config.provider.clone(),
            ApplicationName::new(Purpose::Listen, &config.daemon.job_name),
            config.queue.clone(),
            stop.clone(),
        ));
        let readers = Arc::new(readers(config, &ticks));
        let mut subscriptions = Vec::new();
        for one in &config.subscribers {
            let shared = Shared {
                readers: Arc::clone(&readers),
                ticks: ticks.clone(),
                requests: requests.clone(),
                stop: stop.clone(),
            };
            let sub = Arc::new(subscription(config, one, shared)?);
            subscriptions.push(Arc::clone(&sub));
            first.expect(&life::task_name(&one.consumer));
            tasks.spawn(life::run(sub, config.stats_period, reports.clone()));
        }
        if let Some(listen) = &config.http_listen {
            let counted = subscriptions
                .iter()
                .map(|sub| (sub.consumer.clone(), Arc::clone(&sub.totals)))
                .collect();
            let (config, listen) = (config.clone(), listen.clone());
            first.expect(http::TASK_NAME);
            tasks.spawn(http::run(config, listen, counted, reports, stop.clone()));
        }
        first.settle();
        Ok(Crew {
            tasks,
            readers,
            subscriptions,
            first,
            stop,
        })
    }

    /// Runs until the program must end (none) or go on with a new config.
    async fn run(mut self, signals: &mut Signals, config: &ReplayConfig) -> Option<ReplayConfig> {
        let new = loop {
            tokio::select! {
                () = signals.stop.cancelled() => break None,
                () = self.first.listen() => {}
                changed = signals.reload.changed() => {
                    if changed.is_err() {
                        break None;
                    }
                    match ReplayConfig::load(&config.daemon.config_file) {
                        // A HUP that only asks for a new log file must not begin a long copy anew.
                        Ok(new) if new == *config => info!(changed = false, "config read again"),
                        Ok(new) => {
                            info!(changed = true, "config read again");
                            break Some(new);
                        }
                        Err(error) => error!(%error, "bad config refused, the old one stays"),
                    }
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(broken) = ended {
                        // A task never ends by itself, so this is a bug: the program ends, and the service manager
                        // starts a clean process.
                        error!(error = %broken, "a task broke off, stopping");
                        break None;
                    }
                }
            }
        };
        self.end(signals).await;
        new
    }

    /// Lets the running work finish; cancels it when told to stop at once.
    async fn end(&mut self, signals: &Signals) {
        self.stop.cancel();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all_ended => return,
            () = signals.stop_now.cancelled() => {}
        }
        self.readers.cancel_statements().await;
        for sub in &self.subscriptions {
            sub.cancel_statements().await;
        }
        self.tasks.shutdown().await;
    }
}

/// What the subscribers of a job share.
struct Shared {
    readers: Arc<Readers>,
    ticks: Ticks,
    requests: Requests,
    stop: CancellationToken,
}

fn readers(config: &ReplayConfig, ticks: &Ticks) -> Readers {
    let feed = Feed {
        queue: config.queue.clone(),
        max_events: i64::try_from(config.max_batch_events).unwrap_or(i64::MAX),
        chunk_bytes: chunk_bytes(config),
        ticks: ticks.clone(),
    };
    let name = ApplicationName::new(Purpose::Queue, &config.daemon.job_name);
    Readers::new(
        config.provider.clone(),
        name,
        feed,
        config.subscribers.len(),
        reader::start,
    )
}

fn chunk_bytes(config: &ReplayConfig) -> usize {
    usize::try_from(config.chunk_size).unwrap_or(usize::MAX)
}

fn subscription(
    config: &ReplayConfig,
    one: &SubscriberConfig,
    shared: Shared,
) -> anyhow::Result<Subscription> {
    let job = &config.daemon.job_name;
    let streams = config.parallel_copies;
    Ok(Subscription {
        settings: JobSettings {
            job: job.clone(),
            queue: config.queue.clone(),
            max_batch_events: i64::try_from(config.max_batch_events).unwrap_or(i64::MAX),
            chunk_bytes: chunk_bytes(config),
            parallel_copies: config.parallel_copies,
            on_conflict: config.on_conflict,
            session_role: config.session_role,
            auto_add: AutoAdd::read(&config.auto_add)?,
            retry_delay: config.retry_delay,
            standby: config.standby,
        },
        consumer: one.consumer.clone(),
        streams: Arc::new(Semaphore::new(streams)),
        tables: Arc::new(Semaphore::new(streams)),
        catch_ups: Semaphore::new(streams.max(CATCH_UPS)),
        copy_out: config.provider.pool(
            &ApplicationName::new(Purpose::CopyOut, job),
            streams,
            Schema::PROVIDER,
        )?,
        copy_in: one.db.pool(
            &ApplicationName::new(Purpose::CopyIn, job),
            streams,
            Schema::SUBSCRIBER,
        )?,
        provider: config.provider.clone(),
        subscriber: one.db.clone(),
        readers: shared.readers,
        tick_by_tick: TickByTick::default(),
        totals: Arc::default(),
        ticks: shared.ticks,
        requests: shared.requests,
        for_loop: Notify::new(),
        wanting: std::sync::Mutex::default(),
        for_tables: Notify::new(),
        for_provider: Notify::new(),
        heard: std::sync::Mutex::default(),
        helpers: Mutex::new(()),
        statements: std::sync::Mutex::new(HashMap::new()),
        loop_beat: Beat::default(),
        tables_beat: Beat::default(),
        told: std::sync::Mutex::default(),
        stop: shared.stop,
    })
}
