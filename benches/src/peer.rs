//! What a workload asks of a replication, whoever makes it. One peer is one file.

mod builtin;
mod trunkline;

use std::fmt;
use std::str::FromStr;

use anyhow::bail;

use crate::pair::{Pair, wait_closely};

/// The peers that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// This project.
    Trunkline,
    /// PostgreSQL's own logical replication: CREATE PUBLICATION, CREATE SUBSCRIPTION.
    Builtin,
}

impl Name {
    /// The peer, not yet set up.
    pub(crate) fn peer(self) -> Box<dyn Peer> {
        match self {
            Self::Trunkline => Box::new(trunkline::Trunkline::default()),
            Self::Builtin => Box::new(builtin::Builtin),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trunkline => "trunkline",
            Self::Builtin => "builtin",
        })
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "trunkline" => Ok(Self::Trunkline),
            "builtin" => Ok(Self::Builtin),
            other => bail!("no peer {other}: trunkline, builtin"),
        }
    }
}

/// A replication from one server to another.
pub(crate) trait Peer {
    /// Installs what is needed and starts what runs; no table is replicated yet.
    fn set_up(&mut self, pair: &Pair);

    /// Starts replicating every table, with an initial copy; does not wait for it.
    fn add_all(&mut self, pair: &Pair);

    /// Has every table arrived, and does it follow the provider now? Cheap, for
    /// it is asked all the time.
    fn in_sync(&mut self, pair: &Pair) -> bool;

    /// Stops applying. Capture goes on.
    fn stop_apply(&mut self, pair: &Pair);

    /// Goes on applying where it stopped.
    fn start_apply(&mut self, pair: &Pair);

    /// The peak of resident memory of the applying process in KiB, if it is a
    /// process that we can find.
    fn peak_rss_kb(&self) -> Option<u64>;

    /// Ends everything; the servers are about to go.
    fn tear_down(&mut self, pair: &Pair);
}

/// A peer on its own pair of servers, with every table in sync; torn down when dropped.
pub(crate) struct Running {
    pub(crate) pair: Pair,
    pub(crate) peer: Box<dyn Peer>,
}

impl Running {
    /// Sets the peer up on fresh servers; nothing is replicated yet.
    pub(crate) fn set_up(name: Name, scale: u32) -> Self {
        let mut running = Self {
            pair: Pair::new(scale),
            peer: name.peer(),
        };
        running.peer.set_up(&running.pair);
        running
    }

    /// As [`Running::set_up`], then copies every table and waits for it.
    pub(crate) fn in_sync(name: Name, scale: u32) -> Self {
        let mut running = Self::set_up(name, scale);
        running.peer.add_all(&running.pair);
        running.wait_in_sync();
        running.pair.wait_applied();
        running.pair.settle();
        running
    }

    /// Waits until every table is in sync.
    pub(crate) fn wait_in_sync(&mut self) {
        let Self { pair, peer } = self;
        wait_closely("all tables to be in sync", || peer.in_sync(pair));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.peer.tear_down(&self.pair);
    }
}
