//! `benches`: one workload after the other for one peer after the other, on
//! throw-away servers of this machine, with the checked rows beside each time.

mod pair;
mod peer;
mod report;
mod workload;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::report::Report;
use crate::workload::Workload;

/// Measures Trunkline against other replications of PostgreSQL in one run on
/// one machine. Only ratios within one run mean anything.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What to measure.
    #[arg(value_enum)]
    work: Work,
    /// Whom to measure.
    #[arg(long, value_delimiter = ',', default_value = "trunkline,builtin")]
    peers: Vec<peer::Name>,
    /// pgbench scale: 100,000 accounts each.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Rounds of the workloads that take a median.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of one round of TPC-B.
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// Where the JSON and the Markdown report are written.
    #[arg(long, default_value = "benches/results")]
    out: PathBuf,
}

/// A workload, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Initial copy of the pgbench tables, and the same rows moved by hand.
    Copy,
    /// The same of ten times the rows, with three more indexes.
    CopyIndexed,
    /// A backlog of 20,000 TPC-B transactions.
    Backlog,
    /// A backlog of three bulk statements over 450,000 rows.
    BulkBacklog,
    /// TPC-B throughput while captured and replicated.
    Kept,
    /// INSERT of 200,000 rows in one statement.
    CaptureBulk,
    /// Time from a commit to its sight on the subscriber, at 200 tx/s.
    Lag,
    /// The queue alone, against PgQ 3.5.
    Queue,
    /// All of these.
    All,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let workloads: Vec<Box<dyn Workload>> = match args.work {
        Work::Copy => vec![Box::new(workload::copy::Copy::Plain)],
        Work::CopyIndexed => vec![Box::new(workload::copy::Copy::Indexed)],
        Work::Backlog => vec![Box::new(workload::backlog::Backlog::TpcB)],
        Work::BulkBacklog => vec![Box::new(workload::backlog::Backlog::Bulk)],
        Work::Kept => vec![Box::new(workload::kept::Kept)],
        Work::CaptureBulk => vec![Box::new(workload::capture_bulk::CaptureBulk)],
        Work::Lag => vec![Box::new(workload::lag::Lag)],
        Work::Queue => vec![Box::new(workload::queue::Queue)],
        Work::All => vec![
            Box::new(workload::copy::Copy::Plain),
            Box::new(workload::kept::Kept),
            Box::new(workload::capture_bulk::CaptureBulk),
            Box::new(workload::lag::Lag),
            Box::new(workload::backlog::Backlog::TpcB),
            Box::new(workload::backlog::Backlog::Bulk),
            Box::new(workload::queue::Queue),
        ],
    };
    let plan = workload::Plan {
        peers: args.peers,
        scale: args.scale,
        rounds: args.rounds,
        seconds: args.seconds,
    };
    let mut report = Report::new(&plan);
    for workload in &workloads {
        eprintln!("== {}", workload.name());
        for measurement in workload.measure(&plan)? {
            eprintln!("{}", measurement.line());
            report.add(measurement);
        }
    }
    let path = report.write(&args.out)?;
    println!("{}", report.markdown());
    eprintln!("written: {}", path.display());
    Ok(())
}
