//! The daemon: runs every subscriber of the config side by side, until a signal ends it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use admin::{
    config::{ArchiveConfig, ReplayConfig, SubscriberConfig},
    daemon::{Beat, Body, FirstReports, Ready, Signals},
    log::Once,
};
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::install::ownership::Schema;
use tokio::{
    sync::{Mutex, Notify, Semaphore},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    archive::{
        life as archive_life,
        shared::{Archive, Stats},
    },
    http,
    join::choose::AutoAdd,
    queue::ticks::{Listener, Requests, Ticks},
    reading::{feed::Feed, reader, shared::Readers, tick_by_tick::TickByTick},
    set::{
        host::are_several,
        meetings::{Following, Meetings},
        notices::Notices,
    },
    subscriber::{
        life,
        shared::{JobSettings, Subscription},
    },
};

/// The least number of tables that may catch up at the same time.
const CATCH_UPS: usize = 4;

/// How long servers may take to be asked to cancel statements.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);

/// The daemon's body, which runs once log and runtime exist.
pub(crate) fn body(config: ReplayConfig) -> impl FnOnce(Ready, Signals) -> Body {
    move |ready, signals| Box::pin(run(config, ready, signals))
}

/// Runs the subscribers. Each HUP reads the config again, and starts the subscribers anew if the config has changed; so
/// does another host that is to be followed.
async fn run(mut config: ReplayConfig, ready: Ready, mut signals: Signals) -> anyhow::Result<()> {
    let mut meetings = Meetings::start(&config, &signals.stop);
    let mut notices = Notices::start(&config, &signals.stop);
    loop {
        let following = match &mut meetings {
            None => Some(Following::Config),
            Some(meetings) => meetings.following().await,
        };
        let Some(following) = following else {
            end(notices).await;
            return Ok(());
        };
        let crew = Crew::start(&config, following, ready.clone(), &signals.stop)?;
        match crew.run(&mut signals, &config, meetings.as_mut()).await {
            Next::Config(new) => {
                config = *new;
                meetings = Meetings::start(&config, &signals.stop);
                end(notices).await;
                notices = Notices::start(&config, &signals.stop);
            }
            Next::Host => {}
            Next::Stop => {
                end(notices).await;
                return Ok(());
            }
        }
    }
}

async fn end(notices: Option<Notices>) {
    if let Some(notices) = notices {
        notices.end().await;
    }
}

/// What comes after a crew.
enum Next {
    /// The config is another one.
    Config(Box<ReplayConfig>),
    /// Another host is followed, or none.
    Host,
    /// The program ends.
    Stop,
}

/// The tasks that one reading of the config has started.
struct Crew {
    tasks: JoinSet<()>,
    /// The archives' tasks.
    archives: JoinSet<()>,
    readers: Arc<Readers>,
    subscriptions: Vec<Arc<Subscription>>,
    first: FirstReports,
    stop: CancellationToken,
}

impl Crew {
    fn start(
        config: &ReplayConfig,
        following: Following,
        ready: Ready,
        stop: &CancellationToken,
    ) -> anyhow::Result<Crew> {
        let stop = stop.child_token();
        let mut chosen = config.clone();
        let hosts = config.provider.hosts();
        let (subscribers, archives) = match &following {
            Following::Config => (config.subscribers.as_slice(), config.archives.as_slice()),
            Following::Host(host) => {
                chosen.provider = host.clone();
                (config.subscribers.as_slice(), config.archives.as_slice())
            }
            Following::Nobody(_) => (&[][..], &[][..]),
        };
        let config = &chosen;
        let (mut first, reports) = FirstReports::new(ready);
        let (listener, ticks, requests) = Listener::new(config.loop_delay);
        let mut tasks = JoinSet::new();
        if !subscribers.is_empty() || !archives.is_empty() {
            tasks.spawn(listener.run(
                config.provider.clone(),
                ApplicationName::new(Purpose::Listen, &config.daemon.job_name),
                config.queue.clone(),
                stop.clone(),
            ));
        }
        if let Following::Nobody(Some(why)) = following {
            first.missing(why);
        }
        let readers = Arc::new(readers(config, &ticks));
        let mut subscriptions = Vec::new();
        for one in subscribers {
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
        let mut archiving = JoinSet::new();
        for one in archives {
            let archive = archive(config, (one, &hosts), &ticks, &requests, &stop)?;
            first.expect(&archive_life::task_name(&one.consumer));
            archiving.spawn(archive_life::run(archive, reports.clone()));
        }
        if let Some(port) = &config.daemon.port {
            let counted = subscriptions
                .iter()
                .map(|sub| (sub.consumer.clone(), Arc::clone(&sub.totals)))
                .collect();
            let (config, port) = (config.clone(), port.clone());
            first.expect(http::TASK_NAME);
            tasks.spawn(http::run(config, port, counted, reports, stop.clone()));
        }
        first.settle();
        Ok(Crew {
            tasks,
            archives: archiving,
            readers,
            subscriptions,
            first,
            stop,
        })
    }

    /// Runs until the program must end, or go on with a new config or at another host.
    async fn run(
        mut self,
        signals: &mut Signals,
        config: &ReplayConfig,
        mut meetings: Option<&mut Meetings>,
    ) -> Next {
        let next = loop {
            tokio::select! {
                () = signals.stop.cancelled() => break Next::Stop,
                () = changed(meetings.as_deref_mut()) => break Next::Host,
                () = self.first.listen() => {}
                changed = signals.reload.changed() => {
                    if changed.is_err() {
                        break Next::Stop;
                    }
                    match ReplayConfig::load(&config.daemon.config_file) {
                        // A HUP that only asks for a new log file must not begin a long copy anew.
                        Ok(new) if new == *config => info!(changed = false, "config read again"),
                        Ok(new) => {
                            info!(changed = true, "config read again");
                            break Next::Config(Box::new(new));
                        }
                        Err(error) => error!(%error, "bad config refused, the old one stays"),
                    }
                }
                Some(ended) = any_ended(&mut self.tasks, &mut self.archives) => {
                    if let Err(broken) = ended {
                        // A task never ends by itself, so this is a bug: the program ends, and the service manager
                        // starts a clean process.
                        error!(error = %broken, "a task broke off, stopping");
                        break Next::Stop;
                    }
                }
            }
        };
        // What comes from a host that is not followed any more must not be committed for as long as a batch may take.
        let at_once = matches!(next, Next::Host);
        self.end(signals, at_once).await;
        next
    }

    /// Lets the running work finish, unless `at_once`; cancels it when told to stop at once.
    async fn end(&mut self, signals: &Signals, at_once: bool) {
        self.stop.cancel();
        let (tasks, archives) = (&mut self.tasks, &mut self.archives);
        let all_ended = async {
            while tasks.join_next().await.is_some() {}
            while archives.join_next().await.is_some() {}
        };
        tokio::select! {
            () = all_ended => return,
            () = signals.stop_now.cancelled() => {}
            () = std::future::ready(()), if at_once => {}
        }
        let cancelling = async {
            self.readers.cancel_statements().await;
            for sub in &self.subscriptions {
                sub.cancel_statements().await;
            }
        };
        // A server that does not answer is not waited for: its sessions end with the tasks. An archive writes down what
        // it has read.
        let (tasks, archives) = (&mut self.tasks, &mut self.archives);
        let writing = async { while archives.join_next().await.is_some() {} };
        let _ =
            tokio::time::timeout(CANCEL_LIMIT, async { tokio::join!(cancelling, writing) }).await;
        tasks.shutdown().await;
        archives.shutdown().await;
    }
}

/// The end of a task that has ended by itself; none as long as there is no task.
async fn any_ended(
    tasks: &mut JoinSet<()>,
    archives: &mut JoinSet<()>,
) -> Option<Result<(), JoinError>> {
    tokio::select! {
        Some(ended) = tasks.join_next(), if !tasks.is_empty() => Some(ended),
        Some(ended) = archives.join_next(), if !archives.is_empty() => Some(ended),
        else => std::future::pending().await,
    }
}

/// Waits until another host is to be followed; for ever where there is nobody to choose.
async fn changed(meetings: Option<&mut Meetings>) {
    match meetings {
        Some(meetings) => meetings.changed().await,
        None => std::future::pending().await,
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
        max_events: max_events(config),
        chunk_bytes: chunk_bytes(config),
        archives: config.archive_sources.clone().into(),
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

fn archive(
    config: &ReplayConfig,
    (one, hosts): (&ArchiveConfig, &[ConnectInfo]),
    ticks: &Ticks,
    requests: &Requests,
    stop: &CancellationToken,
) -> anyhow::Result<Archive> {
    Ok(Archive {
        all: config.clone(),
        job: config.daemon.job_name.clone(),
        queue: config.queue.clone(),
        provider: config.provider.clone(),
        hosts: hosts.to_vec(),
        hole_wait: Default::default(),
        auto_add: AutoAdd::read(&config.auto_add)?,
        ticks: ticks.clone(),
        requests: requests.clone(),
        max_events: max_events(config),
        chunk_bytes: chunk_bytes(config),
        retry_delay: config.retry_delay,
        hook: Default::default(),
        stuck: Default::default(),
        stats: Stats::new(&one.consumer, config.stats_period),
        told: Once::default(),
        stop: stop.clone(),
        config: one.clone(),
    })
}

fn max_events(config: &ReplayConfig) -> i64 {
    i64::try_from(config.max_batch_events).unwrap_or(i64::MAX)
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
            max_batch_events: max_events(config),
            chunk_bytes: chunk_bytes(config),
            parallel_copies: config.parallel_copies,
            on_conflict: config.on_conflict,
            session_role: config.session_role,
            auto_add: AutoAdd::read(&config.auto_add)?,
            retry_delay: config.retry_delay,
            standby: config.standby,
            relay: config.relay,
            archives: config.archive_sources.clone().into(),
            of_several: are_several(config),
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
        allow_execute: one.allow_execute.unwrap_or(config.allow_execute),
        replicates_columns: config.replicates_columns(one),
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
        given_away: AtomicBool::new(false),
        source: std::sync::Mutex::default(),
        stop: shared.stop,
    })
}
