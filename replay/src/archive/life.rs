//! An archive's life in the daemon: one process owns the archive at a time, and opens its loop again after each
//! trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use admin::daemon::{self, Reports, Rests, Turn};
use sql::{
    connect::{ApplicationName, Purpose, Session},
    daemon_lock::DaemonLock,
    install::ownership::Schema,
    successor,
};
use tracing::{error, info, warn};

use super::{
    frame_loop,
    hook::{Event, Hook, What},
    left::Left,
    self_verify::SelfVerify,
    shared::Archive,
    upkeep,
};
use crate::{base::schedule::Schedule, join::auto_add::ArchiveTables, trouble::Trouble};

/// The shortest rest after trouble; each further rest in a row is longer, up to `retry_delay`.
const FIRST_REST: Duration = Duration::from_millis(250);

/// What an archive is called in the start's report.
pub(crate) fn task_name(consumer: &str) -> String {
    format!("archive {consumer}")
}

/// Runs until asked to stop.
pub(crate) async fn run(mut archive: Archive, reports: Reports) {
    let owns = Arc::new(AtomicBool::new(false));
    let (hook, teller) = Hook::of(&archive.config, &archive.queue, &archive.stop);
    archive.hook = hook;
    // Trouble of the archive's loop passes; a base that is being made, and the rest after one that failed, outlive it.
    let bases = Schedule::new(
        archive.all.clone(),
        archive.config.clone(),
        Arc::clone(&owns),
        archive.hook.clone(),
    );
    let verify = SelfVerify::new(
        archive.all.clone(),
        archive.config.clone(),
        Arc::clone(&owns),
        archive.hook.clone(),
    );
    let ends = archive.stop.child_token();
    // A program that verifies is waited for: it ends a server that it has made.
    let (ending, reports, owns) = (&ends, &reports, &owns);
    let living = async {
        live(&mut archive, reports, owns).await;
        ending.cancel();
    };
    let both = async { tokio::join!(verify.run(ending), living) };
    tokio::select! {
        never = bases.run() => match never {},
        never = teller.run() => match never {},
        ((), ()) = both => {}
    }
}

async fn live(archive: &mut Archive, reports: &Reports, owns: &AtomicBool) {
    let mut rests = archive.rests();
    let stop = archive.stop.clone();
    while !stop.is_cancelled() {
        let published = archive.stats.ever;
        let ended = archive.own(reports, owns).await;
        owns.store(false, Ordering::Relaxed);
        let trouble = match ended {
            Ok(()) => return,
            Err(trouble) => trouble,
        };
        // Failures are forgotten after a segment, not after a connect.
        if archive.stats.ever > published {
            rests = archive.rests();
        }
        archive.tell(&trouble, reports);
        tokio::select! {
            () = tokio::time::sleep(rests.next_rest()) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Archive {
    fn rests(&self) -> Rests {
        Rests::new(FIRST_REST, self.retry_delay)
    }

    /// Becomes the archive's owner and runs its loop until the session that holds the lock is lost.
    async fn own(&mut self, reports: &Reports, owns: &AtomicBool) -> Result<(), Trouble> {
        let name = ApplicationName::new(Purpose::Archive, &self.config.consumer);
        let session = self.provider.connect_for(&name, Schema::PROVIDER).await;
        let session = session.map_err(Trouble::connect("provider"))?;
        // Step 1: another process that writes this archive is waited for.
        if !self.wait_for_ownership(&session, reports).await? {
            return Ok(());
        }
        let task = task_name(&self.config.consumer);
        let tables = ArchiveTables {
            provider: self.provider.clone(),
            name: ApplicationName::new(Purpose::AutoAdd, &self.job),
            queue: self.queue.clone(),
            consumer: self.config.consumer.clone(),
            rule: self.auto_add.clone(),
        };
        // A log that has ended gets no further tables: who reads the rest of it is no reason to log anything there.
        let has_ended = successor::has_ended(&*session, &self.queue).await?;
        let tables = async {
            match has_ended {
                true => std::future::pending().await,
                false => tables.run().await,
            }
        };
        let left = Left::of(self).run();
        owns.store(true, Ordering::Relaxed);
        let upkeep = upkeep::run(
            self.config.clone(),
            self.job.clone(),
            self.queue.clone(),
            self.hook.clone(),
        );
        tokio::select! {
            ended = frame_loop::run(self, &session, || reports.tell(&task, None)) => ended,
            never = tables => match never {},
            never = left => match never {},
            never = upkeep => match never {},
        }
    }

    async fn wait_for_ownership(
        &self,
        session: &Session,
        reports: &Reports,
    ) -> Result<bool, Trouble> {
        let consumer = &self.config.consumer;
        let waits = || {
            info!(%consumer, "another replay owns the archive, waiting as standby");
            reports.tell(&task_name(consumer), None);
        };
        let lock = DaemonLock::Replay { consumer };
        match daemon::take_turn(session, lock, &self.stop, waits).await? {
            Turn::Taken { waited } => {
                if waited {
                    info!(%consumer, "standby takes over");
                }
                Ok(true)
            }
            Turn::Stopped => Ok(false),
        }
    }

    /// Logs trouble, unless it has been logged and is not over.
    fn tell(&mut self, trouble: &Trouble, reports: &Reports) {
        let consumer = &self.config.consumer;
        reports.tell(&task_name(consumer), Some(trouble.chain()));
        let error = trouble.log_line();
        if matches!(trouble, Trouble::Stale) {
            return;
        }
        let passes = matches!(trouble, Trouble::Passing { .. });
        let rest = self.retry_delay + self.config.segment_every;
        if self.stuck.is_news(passes, Instant::now(), rest) {
            self.hook.tell(Event::new(What::Stuck, &error));
        }
        if !self.told.say((), &error) {
            return;
        }
        match (trouble, trouble.advice()) {
            (Trouble::Operator { .. } | Trouble::Table(_), advice) => {
                error!(%consumer, %error, advice, "archive stopped");
            }
            (Trouble::Passing { .. } | Trouble::Stale, Some(advice)) => {
                error!(%consumer, %error, advice, "archive waits");
            }
            (Trouble::Passing { .. } | Trouble::Stale, None) => {
                warn!(%consumer, %error, "archive waits");
            }
        }
    }
}
