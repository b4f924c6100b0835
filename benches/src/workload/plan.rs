//! The input and the output of every workload.

use crate::measurement::Measurement;
use crate::peer::Name;

/// What a run shall measure.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) peers: Vec<Name>,
    /// pgbench scale.
    pub(crate) scale: u32,
    /// pgbench scale of the copy with more indexes.
    pub(crate) indexed_scale: u32,
    /// Rounds of the workloads that take a median.
    pub(crate) rounds: u32,
    /// Seconds of one round of TPC-B, and of each rate of the lag.
    pub(crate) seconds: u32,
    /// Transactions of the TPC-B backlog.
    pub(crate) transactions: u64,
    /// Rows of the one large transaction.
    pub(crate) rows: u64,
    /// Tables of the workloads with many tables.
    pub(crate) tables: u32,
    /// Numbers of subscribers.
    pub(crate) subscribers: Vec<usize>,
    /// Transactions a second at which the lag is measured.
    pub(crate) rates: Vec<u32>,
    /// Seconds of the idle measurement.
    pub(crate) idle_seconds: u32,
}

impl Plan {
    /// The sizes, as they are given on the command line.
    pub(crate) fn sizes(&self) -> String {
        format!(
            "--scale {} --indexed-scale {} --rounds {} --seconds {} --transactions {} --rows {} \
             --tables {} --idle-seconds {}",
            self.scale,
            self.indexed_scale,
            self.rounds,
            self.seconds,
            self.transactions,
            self.rows,
            self.tables,
            self.idle_seconds
        )
    }

    /// The same plan for each peer alone.
    pub(crate) fn peer_by_peer(&self) -> Vec<Self> {
        let alone = |peer: &Name| Self {
            peers: vec![*peer],
            ..self.clone()
        };
        self.peers.iter().map(alone).collect()
    }

    /// The same work in sizes with which all peers take minutes and not hours.
    pub(crate) fn short(self) -> Self {
        Self {
            scale: 5,
            indexed_scale: 10,
            rounds: 1,
            seconds: 5,
            transactions: 10_000,
            rows: 1_000_000,
            tables: 200,
            subscribers: vec![1, 2, 4],
            rates: vec![200],
            idle_seconds: 10,
            ..self
        }
    }

    /// The same work in sizes that only show that it works.
    pub(crate) fn quick(self) -> Self {
        Self {
            scale: 1,
            indexed_scale: 1,
            rounds: 1,
            seconds: 2,
            transactions: 500,
            rows: 20_000,
            tables: 20,
            subscribers: vec![1, 2],
            rates: vec![50],
            idle_seconds: 2,
            ..self
        }
    }
}

/// A workload.
pub(crate) trait Workload {
    /// The workload's name in the report.
    fn name(&self) -> String;

    /// The plan in parts that are measured and kept one after the other: a part for each peer, unless peers take turns.
    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        plan.peer_by_peer()
    }

    /// Measures every peer of a part, each on fresh servers.
    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>>;
}

/// The middle value; of an even number of values the lower middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
