//! Logs a commit that waits for a synchronous standby: such a commit neither fails nor goes on. If a loop gives no sign
//! of life for some seconds, its servers are asked about it, over a session that writes nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use tokio::time::Instant;

use crate::log::Once;

/// Time between two looks at the signs of life.
const LOOK: Duration = Duration::from_secs(1);

/// After this long without a sign of life of a loop, the servers are asked.
const STILL: Duration = Duration::from_secs(4);

/// Time between two questions to the servers about the same standstill.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Signs of life of a loop.
#[derive(Debug, Default)]
pub struct Beat(AtomicU64);

impl Beat {
    /// Says that the loop goes on.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server that commits are made on.
#[derive(Debug)]
pub struct Server<'a> {
    /// The server's name in the log.
    pub name: &'a str,
    /// How the server is reached.
    pub connect: &'a ConnectInfo,
}

/// Watches loops of a job and the servers that they commit on, until it is dropped.
pub async fn watch(job: &str, beats: &[&Beat], servers: &[Server<'_>]) -> std::convert::Infallible {
    let mut loops: Vec<Watched<'_>> = beats.iter().map(|beat| Watched::new(beat)).collect();
    let mut told: Once<String> = Once::default();
    let mut asked: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // Every loop is looked at, not only up to the first that stands still, because each look notes the loop's beat.
        let still = loops
            .iter_mut()
            .filter_map(|one| one.is_still().then_some(()))
            .count()
            > 0;
        if !still {
            asked = None;
            for session in told.only(|_| false) {
                tracing::info!(session, "commit waits no longer for a synchronous standby");
            }
        } else if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            for server in servers {
                tell(job, server, &mut told).await;
            }
            asked = Some(Instant::now());
        }
    }
}

/// A loop, and its beat when it was last looked at.
struct Watched<'a> {
    beat: &'a Beat,
    seen: u64,
    since: Instant,
}

impl<'a> Watched<'a> {
    fn new(beat: &'a Beat) -> Watched<'a> {
        Watched {
            beat,
            seen: 0,
            since: Instant::now(),
        }
    }

    fn is_still(&mut self) -> bool {
        let now = self.beat.0.load(Ordering::Relaxed);
        if now != self.seen {
            (self.seen, self.since) = (now, Instant::now());
        }
        self.since.elapsed() >= STILL
    }
}

/// Asks a server and logs the waiting sessions. A server that cannot be asked is ignored: no commit waits on it.
async fn tell(job: &str, server: &Server<'_>, told: &mut Once<String>) {
    let asked = tokio::time::timeout(STILL, async {
        let session: Session = server
            .connect
            .connect(&ApplicationName::new(Purpose::Watch, job))
            .await
            .ok()?;
        sql::our_sessions::list(&*session).await.ok()
    });
    let Ok(Some(sessions)) = asked.await else {
        return;
    };
    for one in sessions.waiting_for_standby() {
        if one.is_of(job) && told.say(format!("{} {}", one.name, one.pid), server.name) {
            tracing::warn!(
                server = server.name,
                session = one.name,
                pid = one.pid,
                seconds = one.seconds.map(f64::round),
                synchronous_standby_names = sessions.standbys,
                advice = "bring the standby back, or take it out of synchronous_standby_names",
                "commit waits for a synchronous standby"
            );
        }
    }
}
