//! One subscriber's life in the daemon: one process owns the subscriber at a time, and opens its loops again after each
//! trouble.

use std::{convert::Infallible, sync::Arc, time::Duration};

use admin::daemon::{self, Reports, Rests, Server, Turn};
use sql::{
    connect::{Purpose, Session},
    daemon_lock::DaemonLock,
    role::{self, Role},
    subscriber::position,
};
use tracing::{info, warn};

use super::{
    batch_loop, hop, keep_role, shared::Subscription, stats::Stats, tables::tasks,
    told::TroubledPart,
};
use crate::{
    command::OTHER_QUEUE,
    join::auto_add,
    trouble::{COPY, IS_COPY, Trouble},
};

/// The shortest rest after trouble; each further rest in a row is longer, up to `retry_delay`.
const FIRST_REST: Duration = Duration::from_millis(250);

/// What a subscriber is called in the start's report.
pub(crate) fn task_name(consumer: &str) -> String {
    format!("subscriber {consumer}")
}

/// Runs until asked to stop; a `stats` line comes each period.
pub(crate) async fn run(sub: Arc<Subscription>, stats_period: Duration, reports: Reports) {
    let mut life = Life {
        stats: Stats::new(&sub.consumer, stats_period, Arc::clone(&sub.totals)),
        reports,
        sub,
    };
    let mut rests = life.rests();
    while !life.sub.stop.is_cancelled() {
        let committed = life.stats.batches_ever();
        let trouble = match life.own().await {
            Ok(()) => return,
            Err(trouble) => trouble,
        };
        // Failures are forgotten after a committed batch, not after a connect.
        if life.stats.batches_ever() > committed {
            rests = life.rests();
        }
        if !matches!(trouble, Trouble::Stale) {
            life.tell(&trouble).await;
        }
        tokio::select! {
            () = tokio::time::sleep(rests.next_rest()) => {}
            () = life.sub.stop.cancelled() => return,
        }
    }
}

/// Logs commits that wait for a synchronous standby, on either side.
async fn watch(sub: &Subscription) -> Infallible {
    let servers = [
        Server {
            name: "subscriber",
            connect: &sub.subscriber,
        },
        Server {
            name: "provider",
            connect: &sub.provider,
        },
    ];
    let beats = [&sub.loop_beat, &sub.tables_beat];
    daemon::watch(&sub.settings.job, &beats, &servers).await
}

struct Life {
    sub: Arc<Subscription>,
    stats: Stats,
    reports: Reports,
}

impl Life {
    fn rests(&self) -> Rests {
        Rests::new(FIRST_REST, self.sub.settings.retry_delay)
    }

    /// Becomes the subscriber's owner and runs its loops until the ownership is lost.
    async fn own(&mut self) -> Result<(), Trouble> {
        let admin = self.sub.subscriber_session(Purpose::Admin).await?;
        if !self.wait_for_ownership(&admin).await? {
            return Ok(());
        }
        let sub = Arc::clone(&self.sub);
        is_of_queue(&sub, &admin).await?;
        may_apply(&sub, &admin).await?;
        let mut beside = std::pin::pin!(async {
            tokio::select! {
                () = keep_role::run(&sub) => Trouble::Stale,
                never = watch(&sub) => match never {},
            }
        });
        tokio::select! {
            arrived = self.arrive(&sub, &admin) => if !arrived? {
                return Ok(());
            },
            ended = &mut beside => return Err(ended),
        }
        // The error that another process has stored belongs to that process.
        sub.show_trouble().await;
        let tables = async {
            tokio::select! {
                ended = tasks::run(Arc::clone(&sub), admin) => ended,
                () = auto_add::run(&sub) => Err(Trouble::Stale),
                ended = &mut beside => Err(ended),
                never = hop::left::run(&sub) => match never {},
            }
        };
        let mut tables = std::pin::pin!(tables);
        let mut rests = self.rests();
        loop {
            let committed = self.stats.batches_ever();
            self.report(None);
            let trouble = tokio::select! {
                ended = batch_loop::run(&sub, &mut self.stats) => match ended {
                    Ok(()) => return Ok(()),
                    Err(trouble) => trouble,
                },
                // If the session that holds the lock is lost, all work must stop.
                lost = &mut tables => return lost,
            };
            if matches!(trouble, Trouble::Stale) {
                // This is no error: positions and tables are read again.
                continue;
            }
            if self.stats.batches_ever() > committed {
                rests = self.rests();
            }
            if trouble.is_of_memory() && sub.tick_by_tick.begin() {
                let (consumer, error) = (&sub.consumer, trouble.log_line());
                warn!(
                    %consumer,
                    %error,
                    "a batch needs more locks or memory than the subscriber has, smaller ones follow"
                );
                continue;
            }
            if trouble.is_of_another_queue() {
                // The provider is another one by now: it is asked for a place before anything else is done.
                return Err(Trouble::Stale);
            }
            self.tell(&trouble).await;
            tokio::select! {
                () = tokio::time::sleep(rests.next_rest()) => {}
                lost = &mut tables => return lost,
                () = sub.stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Moves the subscriber to the provider that the config names, if it is at another one. Until then no task works:
    /// tables and position have the names of the old provider's log. False if asked to stop meanwhile.
    ///
    /// # Errors
    /// Those of the session that holds the lock: then another process may be the owner.
    async fn arrive(&mut self, sub: &Subscription, admin: &Session) -> Result<bool, Trouble> {
        let mut rests = self.rests();
        loop {
            let Err(trouble) = hop::run(sub, admin).await else {
                return Ok(true);
            };
            if admin.is_closed() {
                return Err(trouble);
            }
            if !matches!(trouble, Trouble::Stale) {
                self.tell(&trouble).await;
            }
            tokio::select! {
                () = tokio::time::sleep(rests.next_rest()) => {}
                // Not beside the move, which notes a provider before it registers there.
                never = hop::left::run(sub) => match never {},
                () = sub.stop.cancelled() => return Ok(false),
            }
        }
    }

    /// Waits for the lock that one process holds for a consumer; false if asked to stop meanwhile.
    async fn wait_for_ownership(&self, admin: &Session) -> Result<bool, Trouble> {
        let consumer = &self.sub.consumer;
        let waits = || {
            info!(%consumer, "another replay owns the subscriber, waiting as standby");
            self.report(None);
        };
        let lock = DaemonLock::Replay { consumer };
        match daemon::take_turn(admin, lock, &self.sub.stop, waits).await? {
            Turn::Taken { waited } => {
                if waited {
                    info!(%consumer, "standby takes over");
                }
                Ok(true)
            }
            Turn::Stopped => Ok(false),
        }
    }

    /// Reports how the subscriber's begin went: it runs or waits as a standby, or why it does not run yet.
    fn report(&self, error: Option<String>) {
        self.reports.tell(&task_name(&self.sub.consumer), error);
    }

    /// Reports the trouble of the batch loop.
    async fn tell(&mut self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Passing { .. }) {
            self.stats.retry();
        }
        self.report(Some(trouble.chain()));
        self.sub.tell(TroubledPart::BatchLoop, trouble).await;
    }
}

/// Checks that the database is not the provider of the set, or was: what it has taken itself must not be overwritten.
/// Nor may it be a copy of a node.
async fn may_apply(sub: &Subscription, admin: &Session) -> Result<(), Trouble> {
    let queue = &sub.settings.queue;
    let roles = role::list(&**admin).await;
    let roles = roles.map_err(Trouble::sql("could not ask for the role of the subscriber"))?;
    let role = roles.iter().find(|one| one.queue == *queue);
    match role.map(|one| one.role) {
        Some(role @ (Role::Provider | Role::Fenced)) if sub.settings.of_several => {
            // The next meeting ends the loops.
            let why = anyhow::anyhow!("it is {} for queue {queue} by now", role.as_str());
            Err(Trouble::passing("the node applies nothing", why))
        }
        Some(role @ (Role::Provider | Role::Fenced)) => Err(Trouble::Operator {
            doing: "stopped, nothing was applied".into(),
            advice:
                "name all hosts of the set in provider_db: replay then finds out whom to follow"
                    .into(),
            source: anyhow::anyhow!("this database is {} for queue {queue}", role.as_str()),
        }),
        Some(Role::Standby | Role::Reader | Role::Copy) | None => is_no_copy(admin).await,
    }
}

/// Checks that the database was not restored elsewhere.
async fn is_no_copy(admin: &Session) -> Result<(), Trouble> {
    // A reader has no row of a role that would say so.
    let copy = role::is_copy(&**admin).await;
    if !copy.map_err(Trouble::sql(
        "could not ask whether the subscriber is a copy",
    ))? {
        return Ok(());
    }
    Err(Trouble::Operator {
        doing: "stopped, nothing was applied".into(),
        advice: COPY.into(),
        source: anyhow::anyhow!(IS_COPY),
    })
}

/// Checks that the subscriber's position is in the queue that the config names. If there is no position, the batch loop
/// reports what is missing.
async fn is_of_queue(sub: &Subscription, admin: &Session) -> Result<(), Trouble> {
    let there = position::is_installed(&**admin).await;
    if !there.map_err(Trouble::sql("could not look for replay's tables"))? {
        return Ok(());
    }
    match position::find(&**admin, &sub.consumer).await? {
        Some(stored) if stored.queue != sub.settings.queue => Err(Trouble::Operator {
            doing: "stopped, nothing was applied".into(),
            advice: OTHER_QUEUE.into(),
            source: anyhow::anyhow!(
                "pgq_queue_name is {}, and the subscriber's position is one in queue {}",
                sub.settings.queue,
                stored.queue
            ),
        }),
        Some(_) | None => Ok(()),
    }
}
