//! What a workload asks of every peer.

use crate::pair::Pair;

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

    /// The processes that replicate, to ask how much of a core they use.
    fn daemons(&self, pair: &Pair) -> Vec<i32>;

    /// The peak of resident memory of the applying process in KiB, if it is a
    /// process that we can find.
    fn peak_rss_kb(&self) -> Option<u64>;

    /// Ends everything; the servers are about to go.
    fn tear_down(&mut self, pair: &Pair);
}
