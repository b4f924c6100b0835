//! Each workload is a file: the work, what is timed, and what is checked.

pub(crate) mod backlog;
pub(crate) mod capture;
pub(crate) mod capture_bulk;
pub(crate) mod compare;
pub(crate) mod copy;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod kept;
pub(crate) mod lag;
pub(crate) mod many;
mod plan;
pub(crate) mod queue;
pub(crate) mod staging;

use clap::ValueEnum;

pub(crate) use self::plan::{Plan, Workload, median};

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
    /// `replay compare` and `replay repair`, beside one digest of the table.
    Compare,
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
            Self::Compare => Box::new(compare::Compare),
        }
    }
}
