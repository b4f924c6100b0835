//! The daemon verifies the archive on a schedule (`verify_every`): it runs `archive verify` as a program of its own, so
//! that what that takes is not the daemon's, and notes in the archive how it went.

use std::{
    convert::Infallible,
    io::{self, Read as _, Seek as _},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use admin::{
    config::{ArchiveConfig, ReplayConfig},
    notice::run_within,
};
use tempfile::TempDir;
use tracing::{error, info, warn};

use super::{
    bases::Bases,
    hook::{Event, Hook, What},
    identity::Identity,
    proofs::{self, Proof},
    store::Store,
};
use crate::frames::place::Time;

/// The shortest and the longest time between two looks; in between it is a tenth of `verify_every`.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The rest after one that failed: a tenth of `verify_every`, and a day at most, for it may read terabytes.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(7 * 86_400);

/// Bytes that are read of what it says.
const TOLD: u64 = 64 << 10;

/// Lines of what it says that are told, from the last one on.
const LINES: usize = 3;

/// Verifies an archive now and then.
pub(crate) struct SelfVerify {
    config: ReplayConfig,
    archive: ArchiveConfig,
    /// This process writes the archive: else nothing is verified.
    owns: Arc<AtomicBool>,
    hook: Hook,
}

impl SelfVerify {
    /// Nothing was verified.
    pub(crate) fn new(
        config: ReplayConfig,
        archive: ArchiveConfig,
        owns: Arc<AtomicBool>,
        hook: Hook,
    ) -> SelfVerify {
        SelfVerify {
            config,
            archive,
            owns,
            hook,
        }
    }

    /// Verifies whenever it is time.
    pub(crate) async fn run(self) -> Infallible {
        let every = self.archive.verify_every;
        if every.is_zero() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep((every / 10).clamp(LOOK.0, LOOK.1)).await;
            if !self.owns.load(Ordering::Relaxed) {
                continue;
            }
            let look = self.look();
            // What cannot be read is told by the frame loop, and by check.
            let Ok(Ok(Some(restore))) = tokio::task::spawn_blocking(look).await else {
                continue;
            };
            if !self.verify(restore).await {
                tokio::time::sleep((every / 10).min(LONGEST_REST)).await;
            }
        }
    }

    /// Whether it is due, and whether there is a base to be restored; None: it is not due.
    fn look(&self) -> impl FnOnce() -> io::Result<Option<bool>> + use<> {
        let archive = self.archive.clone();
        let (job, queue) = (
            self.config.daemon.job_name.clone(),
            self.config.queue.clone(),
        );
        move || {
            let store = Store::open(&archive.address)?;
            let now = SystemTime::now();
            if !proofs::is_due(
                proofs::newest(&store, now)?.as_ref(),
                now,
                archive.verify_every,
            ) {
                return Ok(None);
            }
            let identity = Identity::read(&store, &job, &queue).map_err(io::Error::other)?;
            let bases = Bases::read(&store, &identity.archive)?;
            let has_base = bases.made().any(|base| base.is_complete());
            Ok(Some(archive.verify_restore && has_base))
        }
    }

    /// Verifies, and notes and tells how it went; whether all was well.
    async fn verify(&self, restore: bool) -> bool {
        let consumer = &self.archive.consumer;
        let began = Instant::now();
        let verified = self.program(restore).await;
        let seconds = began.elapsed().as_secs_f64();
        let is_good = verified.is_ok();
        let what = match &verified {
            Ok(()) if restore => "all was read, and the newest complete base restored",
            Ok(()) => "all was read, and nothing restored",
            Err(why) => why.as_str(),
        };
        match is_good {
            true => info!(%consumer, restored = restore, seconds, "verified"),
            false => error!(%consumer, error = what, seconds, "verify failed"),
        }
        let event = if is_good {
            What::Verified
        } else {
            What::VerifyFailed
        };
        self.hook.tell(Event::new(event, what));
        let (archive, what) = (self.archive.clone(), what.to_owned());
        let note = move || {
            let time = Time::of(SystemTime::now())
                .ok_or_else(|| io::Error::other("the clock cannot be right"))?;
            let store = Store::open(&archive.address)?;
            proofs::note(
                &store,
                &Proof {
                    time,
                    is_good,
                    what,
                },
            )
        };
        match tokio::task::spawn_blocking(note).await {
            Ok(Ok(())) => is_good,
            // Then it is made again.
            Ok(Err(error)) => {
                warn!(%consumer, %error, "how verifying went could not be noted");
                false
            }
            Err(_) => false,
        }
    }

    async fn program(&self, restore: bool) -> Result<(), String> {
        let cannot = |error: io::Error| format!("it cannot be begun: {error}");
        // What it makes goes with this, also where it is killed.
        let directory = TempDir::with_prefix("trunkline-verify-").map_err(cannot)?;
        let mut said = tempfile::tempfile_in(directory.path()).map_err(cannot)?;
        let program = std::env::current_exe().map_err(cannot)?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg("-c")
            .arg(&self.config.daemon.config_file)
            .args(["archive", "verify", "--subscriber", &self.archive.name])
            .args(restore.then_some("--restore"))
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(cannot)?);
        let Err(ended) = run_within(&mut command, LIMIT).await else {
            return Ok(());
        };
        let mut text = Vec::new();
        let read = said
            .rewind()
            .and_then(|()| said.take(TOLD).read_to_end(&mut text));
        read.map_err(cannot)?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(LINES).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        Err(match lines.is_empty() {
            true => ended,
            false => lines.join("; "),
        })
    }
}
