//! One workload is one file: what is done, what is timed, what is checked.

pub(crate) mod backlog;
pub(crate) mod capture;
pub(crate) mod capture_bulk;
pub(crate) mod copy;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod kept;
pub(crate) mod lag;
pub(crate) mod many;
pub(crate) mod queue;
pub(crate) mod staging;

use clap::ValueEnum;

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
    /// Tables, where there are many.
    pub(crate) tables: u32,
    /// Numbers of subscribers.
    pub(crate) subscribers: Vec<usize>,
    /// Transactions a second at which the lag is measured.
    pub(crate) rates: Vec<u32>,
    /// Seconds of doing nothing.
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

    /// The same for each peer alone.
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

/// Something to measure.
pub(crate) trait Workload {
    /// As it stands in the report.
    fn name(&self) -> String;

    /// The plan in parts that are measured and kept one after the other: a peer each, where
    /// peers do not take turns.
    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        plan.peer_by_peer()
    }

    /// Measures every peer of a part, each on fresh servers.
    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>>;
}

/// The workloads, by the names that are given to `--workload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Initial copy of the pgbench tables, and the same rows moved by hand.
    Copy,
    /// The same of more rows, with three more indexes.
    CopyIndexed,
    /// A backlog of TPC-B transactions.
    Backlog,
    /// A backlog of three bulk statements over 450,000 rows.
    BulkBacklog,
    /// A backlog of rows of a hundred columns and large texts.
    WideRows,
    /// One transaction of very many rows.
    OneTransaction,
    /// A backlog of transactions of one row, five times as many as of TPC-B.
    SingleRows,
    /// A backlog over many tables.
    ManyTables,
    /// A TPC-B backlog for one and more subscribers at once.
    ManySubscribers,
    /// TPC-B throughput while captured and replicated.
    Kept,
    /// INSERT of 200,000 rows in one statement.
    CaptureBulk,
    /// What capture alone costs statements of one row, against triggers of PgQ and Slony and a slot that is read.
    CaptureRows,
    /// The same for statements of many rows.
    CaptureSets,
    /// TPC-B throughput kept by capture alone, with 1 to 8 clients.
    CaptureClients,
    /// Time from a commit to its sight on the subscriber, at steady rates.
    Lag,
    /// CPU of the daemons while nothing happens.
    Idle,
    /// The same with many tables.
    IdleTables,
    /// How cost grows with rows and with tables: 1, 4 and 16 times as many, and the exponent.
    Growth,
    /// The queue alone, against PgQ 3.5.
    Queue,
    /// How rows reach a set statement: COPY or arrays, text or binary.
    Staging,
}

impl Work {
    /// What it does.
    pub(crate) fn workload(self) -> Box<dyn Workload> {
        match self {
            Self::Copy => Box::new(copy::Copy::Plain),
            Self::CopyIndexed => Box::new(copy::Copy::Indexed),
            Self::Backlog => Box::new(backlog::Backlog::TpcB),
            Self::BulkBacklog => Box::new(backlog::Backlog::Bulk),
            Self::WideRows => Box::new(backlog::Backlog::Wide),
            Self::OneTransaction => Box::new(backlog::Backlog::One),
            Self::SingleRows => Box::new(backlog::Backlog::Singles),
            Self::ManyTables => Box::new(backlog::Backlog::Tables),
            Self::ManySubscribers => Box::new(many::ManySubscribers),
            Self::Kept => Box::new(kept::Kept),
            Self::CaptureBulk => Box::new(capture_bulk::CaptureBulk),
            Self::CaptureRows => Box::new(capture::Capture::OneRow),
            Self::CaptureSets => Box::new(capture::Capture::Bulk),
            Self::CaptureClients => Box::new(capture::Capture::Clients),
            Self::Lag => Box::new(lag::Lag),
            Self::Idle => Box::new(idle::Idle::FewTables),
            Self::IdleTables => Box::new(idle::Idle::ManyTables),
            Self::Growth => Box::new(growth::Growth),
            Self::Queue => Box::new(queue::Queue),
            Self::Staging => Box::new(staging::Staging),
        }
    }
}

/// The middle value; of an even number of values the lower middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
