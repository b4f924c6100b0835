//! An archive of the running job: its settings, hints and counters.

use std::time::{Duration, Instant};

use admin::{
    config::{ArchiveConfig, ReplayConfig},
    log::Once,
};
use sql::connect::ConnectInfo;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    hole_wait::HoleWait,
    hook::{Hook, Stuck},
    identity::Identity,
    place::ArchivePlace,
    store::Store,
    writer::{no_archive, unwritable},
};
use crate::{
    join::choose::AutoAdd,
    queue::ticks::{Requests, Ticks},
    trouble::Trouble,
};

/// An archive of the running job.
pub(crate) struct Archive {
    /// Its config.
    pub config: ArchiveConfig,
    /// All of the job's config, which says where a base is read.
    pub all: ReplayConfig,
    /// The job's name.
    pub job: String,
    /// The provider's queue.
    pub queue: String,
    /// How the provider is reached.
    pub provider: ConnectInfo,
    /// All hosts of the set; one: there is no set.
    pub hosts: Vec<ConnectInfo>,
    /// How long a hole has been waited for.
    pub hole_wait: HoleWait,
    /// The tables that are added as soon as they exist.
    pub auto_add: AutoAdd,
    /// Hints that there may be a new tick.
    pub ticks: Ticks,
    /// Hints that somebody waits for the archive.
    pub requests: Requests,
    /// Events merged into one frame when behind.
    pub max_events: i64,
    /// Bytes of a frame's part.
    pub chunk_bytes: usize,
    /// The longest rest between two tries after trouble.
    pub retry_delay: Duration,
    /// Where it is told what happens.
    pub hook: Hook,
    /// Whether that nothing is archived was told.
    pub stuck: Stuck,
    /// The counters of the `stats` line.
    pub stats: Stats,
    /// The trouble that the log has been told of.
    pub told: Once<()>,
    /// The program must end as soon as the running work is finished.
    pub stop: CancellationToken,
}

impl Archive {
    /// Where it ends, as its files say.
    pub(super) fn place(&self) -> ArchivePlace {
        ArchivePlace {
            address: self.config.address.clone(),
            job: self.job.clone(),
            queue: self.queue.clone(),
        }
    }

    /// Its files, and whose they are.
    pub(super) fn opened(&self) -> Result<(Store, Identity), Trouble> {
        let store = Store::open(&self.config.address).map_err(unwritable)?;
        let identity = Identity::read(&store, &self.job, &self.queue).map_err(no_archive)?;
        Ok((store, identity))
    }

    /// The same trouble is news the next time.
    pub(super) fn goes_on(&mut self) {
        self.told.over(&());
        self.stuck = Stuck::default();
    }
}

/// Counters of one archive; they outlive reconnections.
#[derive(Debug)]
pub(crate) struct Stats {
    consumer: String,
    period: Duration,
    since: Instant,
    segments: u64,
    events: u64,
    bytes: u64,
    /// Segments since the config was read.
    pub(super) ever: u64,
}

impl Stats {
    /// Counters at zero. `period` is the time between two lines.
    pub(crate) fn new(consumer: &str, period: Duration) -> Stats {
        Stats {
            consumer: consumer.to_owned(),
            period,
            since: Instant::now(),
            segments: 0,
            events: 0,
            bytes: 0,
            ever: 0,
        }
    }

    /// Counts a segment that was published.
    pub(super) fn segment(&mut self, events: u64, bytes: u64) {
        self.segments += 1;
        self.events += events;
        self.bytes += bytes;
        self.ever += 1;
    }

    /// Logs the line when it is due.
    pub(super) fn tell_if_due(&mut self) {
        if self.since.elapsed() < self.period {
            return;
        }
        let (consumer, segments, events, bytes) =
            (&self.consumer, self.segments, self.events, self.bytes);
        info!(%consumer, segments, events, bytes, "stats");
        (self.segments, self.events, self.bytes) = (0, 0, 0);
        self.since = Instant::now();
    }
}
