//! The daemon verifies the archive on a schedule (`verify_every`): it runs `archive verify` as a program of its own, so
//! that what that takes is not the daemon's, and notes in the archive how it went.

use std::{
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
    notice::run_until,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
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

/// The rest after each: a tenth of `verify_every`, and a day at most, for it may read terabytes.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(7 * 86_400);

/// How long it may take to end its server when the daemon stops, before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that are read of what it says.
const TOLD: u64 = 64 << 10;

/// Lines of what it says that are told: the first ones of objects, else the last ones.
const LINES: usize = 3;

/// What the line of an object that is not as it was written begins with.
const OBJECTS: [&str; 2] = ["frames/", "bases/"];

/// How an archive is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// All is read, and the newest complete base is restored.
    Restore,
    /// All is read.
    Read,
    /// All is read: the base is encrypted, and who verifies has no identity to open it.
    Closed,
}

impl How {
    /// What was done where all was well.
    fn done(self) -> &'static str {
        match self {
            How::Restore => "all was read, and the newest complete base restored",
            How::Read => "all was read, and nothing restored",
            How::Closed => {
                "all was read, and nothing restored: the base is encrypted, and there is no archive_identity"
            }
        }
    }
}

/// Rests; whether it was asked to stop meanwhile.
async fn rested(rest: Duration, stop: &CancellationToken) -> bool {
    tokio::time::timeout(rest, stop.cancelled()).await.is_ok()
}

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

    /// Verifies whenever it is time, until asked to stop.
    pub(crate) async fn run(self, stop: &CancellationToken) {
        let every = self.archive.verify_every;
        if every.is_zero() {
            return;
        }
        while !rested((every / 10).clamp(LOOK.0, LOOK.1), stop).await {
            if !self.owns.load(Ordering::Relaxed) {
                continue;
            }
            let look = self.look();
            // What cannot be read is told by the frame loop, and by check.
            let Ok(Ok(Some(how))) = tokio::task::spawn_blocking(look).await else {
                continue;
            };
            self.verify(how, stop).await;
            // Also behind one that was well: where a proof cannot be read or does not count, the next one is due.
            if rested((every / 10).min(LONGEST_REST), stop).await {
                return;
            }
        }
    }

    /// How it is to be verified; None: it is not due.
    fn look(&self) -> impl FnOnce() -> io::Result<Option<How>> + use<> {
        let archive = self.archive.clone();
        let can_open = self.config.archive_identity.is_some();
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
            let newest = bases.made().rfind(|base| base.is_complete());
            Ok(Some(match newest.filter(|_| archive.verify_restore) {
                None => How::Read,
                Some(base) if !base.sealed.is_empty() && !can_open => How::Closed,
                Some(_) => How::Restore,
            }))
        }
    }

    /// Verifies, and notes and tells how it went.
    async fn verify(&self, how: How, stop: &CancellationToken) {
        let consumer = &self.archive.consumer;
        let began = Instant::now();
        let verified = self.program(how, stop).await;
        if verified.is_err() && stop.is_cancelled() {
            // It was ended, which says nothing of the archive; it is due as before.
            return;
        }
        let seconds = began.elapsed().as_secs_f64();
        let is_good = verified.is_ok();
        let what = match &verified {
            Ok(()) => how.done(),
            Err(why) => why.as_str(),
        };
        match is_good {
            true => info!(%consumer, restored = how == How::Restore, seconds, "verified"),
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
        // What is not noted is made again.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(note).await {
            warn!(%consumer, %error, "how verifying went could not be noted");
        }
    }

    async fn program(&self, how: How, stop: &CancellationToken) -> Result<(), String> {
        let cannot = |error: io::Error| format!("it cannot be begun: {error}");
        // What it makes goes with this.
        let directory = TempDir::with_prefix("trunkline-verify-").map_err(cannot)?;
        let mut said = tempfile::tempfile_in(directory.path()).map_err(cannot)?;
        let program = std::env::current_exe().map_err(cannot)?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg("-c")
            .arg(&self.config.daemon.config_file)
            .args(["archive", "verify", "--subscriber", &self.archive.name])
            .args((how == How::Restore).then_some("--restore"))
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(cannot)?);
        let Err(ended) = run_until(&mut command, LIMIT, stop, PATIENCE).await else {
            return Ok(());
        };
        let mut text = Vec::new();
        let read = said
            .rewind()
            .and_then(|()| said.take(TOLD).read_to_end(&mut text));
        read.map_err(cannot)?;
        let is_sealed = !self.archive.encrypt_to.is_empty();
        Err(reason(&String::from_utf8_lossy(&text), &ended, is_sealed))
    }
}

/// Why verifying failed, in words that may stand in the archive, in the log and on a command line: so without rows,
/// and of an archive that is encrypted only which objects are wrong. Pure.
fn reason(said: &str, ended: &str, is_sealed: bool) -> String {
    let is_object = |line: &&str| OBJECTS.iter().any(|one| line.starts_with(one));
    let of_objects: Vec<&str> = said.lines().filter(is_object).collect();
    let told: Vec<&str> = match (of_objects.is_empty(), is_sealed) {
        (false, true) => {
            let paths = of_objects.iter().take(LINES);
            paths.filter_map(|line| line.split(": ").next()).collect()
        }
        (false, false) => of_objects.iter().copied().take(LINES).collect(),
        (true, true) => Vec::new(),
        (true, false) => {
            // What the server says beside its message is mostly the row itself; it stands in the lines further in.
            let lines: Vec<&str> = said
                .lines()
                .filter(|line| !line.starts_with("    "))
                .collect();
            let last = lines.iter().skip(lines.len().saturating_sub(LINES));
            last.map(|line| without_detail(line)).collect()
        }
    };
    match (told.is_empty(), is_sealed && !of_objects.is_empty()) {
        (true, _) => {
            format!(
                "{ended}: `replay archive verify`, with --restore, says why when it is run by hand"
            )
        }
        (false, true) => format!("not as they were written: {}", told.join("; ")),
        (false, false) => told.join("; "),
    }
}

/// A line of a program of the server's without what may be a row.
fn without_detail(line: &str) -> &str {
    let ends = ["DETAIL:", "CONTEXT:"]
        .iter()
        .filter_map(|one| line.find(one));
    let end = ends.min().unwrap_or(line.len());
    line.get(..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "error: could not restore public.t\n  caused by: could not create unique index (23505)\n    \
                           Key (mail)=(a@b.c) is duplicated.\n    in COPY t, line 3, column mail: \"a@b.c\"\n";

    #[test]
    fn why_verifying_failed_is_told_without_a_row() {
        assert_eq!(
            reason(REFUSED, "exit status: 3", false),
            "error: could not restore public.t;   caused by: could not create unique index (23505)"
        );
        let of_program = "error: pg_restore failed: it is there; DETAIL: Key (mail)=(a@b.c)";
        assert_eq!(
            reason(of_program, "exit status: 3", false),
            "error: pg_restore failed: it is there; "
        );
        let faults = "frames/0000/1.seg: bad \"a@b.c\"\nbases/x/data: it is missing\n";
        assert_eq!(
            reason(faults, "exit status: 1", false),
            "frames/0000/1.seg: bad \"a@b.c\"; bases/x/data: it is missing"
        );
    }

    #[test]
    fn of_an_encrypted_archive_only_the_objects_are_told() {
        let told = reason(REFUSED, "exit status: 3", true);
        assert!(told.starts_with("exit status: 3: "), "{told}");
        for word in ["a@b.c", "mail", "public.t"] {
            assert!(!told.contains(word), "{told}");
        }
        let faults = "frames/0000/1.seg: bad \"a@b.c\"\nbases/x/data: it is missing\n";
        assert_eq!(
            reason(faults, "exit status: 1", true),
            "not as they were written: frames/0000/1.seg; bases/x/data"
        );
    }
}
