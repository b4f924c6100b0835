//! What a workload asks of every peer.

use crate::pair::Pair;

/// A replication from one server to another.
pub(crate) trait Peer {
    /// Installs the peer and starts its daemons; no table is replicated yet.
    fn set_up(&mut self, pair: &Pair);

    /// Starts replicating every table, with an initial copy; does not wait for it.
    fn add_all(&mut self, pair: &Pair);

    /// Whether every table is copied and follows the provider. The check must be cheap, because it is made all the
    /// time.
    fn in_sync(&mut self, pair: &Pair) -> bool;

    /// Stops applying. Capture goes on.
    fn stop_apply(&mut self, pair: &Pair);

    /// Starts applying again where it stopped.
    fn start_apply(&mut self, pair: &Pair);

    /// The processes that replicate, to ask how much of a core they use.
    fn daemons(&self, pair: &Pair) -> Vec<i32>;

    /// The peak of resident memory of the applying process in KiB, if it is a
    /// process that we can find.
    fn peak_rss_kb(&self) -> Option<u64>;

    /// Ends everything, before the servers are removed.
    fn tear_down(&mut self, pair: &Pair);
}
