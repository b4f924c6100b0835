//! What a workload asks of a replication, for every peer alike. Each peer is a file.

mod builtin;
mod daemon;
mod londiste;
mod replication;
mod slony;
mod trunkline;

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

pub(crate) use self::replication::Peer;
use crate::attempt::attempt;
use crate::measurement::Measurement;
use crate::pair::{Pair, wait_closely};
use crate::tables::Tables;

/// The peers that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// This project.
    Trunkline,
    /// This project, where the subscriber logs what it applies for a further one; only if it is named.
    Relaying,
    /// PostgreSQL's own logical replication: CREATE PUBLICATION, CREATE SUBSCRIPTION.
    #[value(name = "built-in")]
    Builtin,
    /// Londiste 3 with PgQ and pgqd.
    Londiste,
    /// Slony-I.
    Slony,
}

impl Name {
    /// The peers that are measured if none is named.
    pub(crate) fn usual() -> Vec<Name> {
        let all = Name::value_variants().iter().copied();
        all.filter(|name| *name != Name::Relaying).collect()
    }

    /// The peer, not yet set up.
    pub(crate) fn peer(self) -> Box<dyn Peer> {
        match self {
            Self::Trunkline => Box::new(trunkline::Trunkline::default()),
            Self::Relaying => Box::new(trunkline::Trunkline::relaying()),
            Self::Builtin => Box::new(builtin::Builtin),
            Self::Londiste => Box::new(londiste::Londiste::default()),
            Self::Slony => Box::new(slony::Slony::default()),
        }
    }

    /// Debian's packages that this peer needs and this machine lacks.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let needed: &[(&str, &str)] = match self {
            Self::Trunkline | Self::Relaying | Self::Builtin => &[],
            Self::Londiste => &londiste::NEEDS,
            Self::Slony => &slony::NEEDS,
        };
        needed
            .iter()
            .filter(|(file, _)| !Path::new(file).exists())
            .map(|(_, package)| *package)
            .collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trunkline => "trunkline",
            Self::Relaying => "relaying",
            Self::Builtin => "built-in",
            Self::Londiste => "londiste",
            Self::Slony => "slony",
        })
    }
}

/// A peer on its own pair of servers, with every table in sync; torn down when dropped.
pub(crate) struct Running {
    pub(crate) pair: Pair,
    pub(crate) peer: Box<dyn Peer>,
}

impl Running {
    /// Sets the peer up on fresh servers; no table is replicated yet.
    pub(crate) fn set_up(name: Name, tables: impl Into<Tables>) -> Self {
        let mut running = Self {
            pair: Pair::new(tables),
            peer: name.peer(),
        };
        running.peer.set_up(&running.pair);
        running
    }

    /// As [`Running::set_up`], then copies every table and waits for it.
    pub(crate) fn in_sync(name: Name, tables: impl Into<Tables>) -> Self {
        let mut running = Self::set_up(name, tables);
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

/// Every peer with these tables in sync; for a peer that fails, a measurement with the reason.
pub(crate) fn all_in_sync(
    workload: &str,
    names: &[Name],
    tables: &Tables,
) -> (Vec<(Name, Running)>, Vec<Measurement>) {
    let (mut running, mut failed) = (Vec::new(), Vec::new());
    for &name in names {
        match attempt(|| Ok(Running::in_sync(name, tables.clone()))) {
            Ok(peer) => running.push((name, peer)),
            Err(why) => failed.push(Measurement::failed(workload, name, &why)),
        }
    }
    (running, failed)
}

impl Drop for Running {
    fn drop(&mut self) {
        self.peer.tear_down(&self.pair);
    }
}
