//! `benches`: one workload after the other for one peer after the other, on
//! throw-away servers of this machine, with the checked rows beside each time.

mod attempt;
mod measurement;
mod pair;
mod peer;
mod plot;
mod report;
mod summary;
mod tables;
mod workload;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Parser, ValueEnum};

use crate::attempt::attempt;
use crate::measurement::Measurement;
use crate::report::Report;
use crate::workload::{Plan, Work, Workload};

/// Measures Trunkline against other replications of PostgreSQL in one run on
/// one machine. Only ratios within one run mean anything.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What to measure, in this order; all if not said.
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Work>,
    /// Whom to measure; all but `relaying` if not said.
    #[arg(long, value_enum, value_delimiter = ',')]
    peer: Vec<peer::Name>,
    /// A peer whose packages are missing is left out, and the report says so.
    #[arg(long)]
    leave_out_missing: bool,
    /// Small sizes and one round: does everything work? The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Sizes with which everything takes minutes and not hours.
    #[arg(long, conflicts_with = "quick")]
    short: bool,
    /// Minutes after which nothing more is begun: the report says what is left out.
    #[arg(long, value_name = "MINUTES")]
    budget: Option<u64>,
    /// The longest wait for a peer, in seconds: then it has failed, and the next one is measured.
    #[arg(long, default_value_t = 1800)]
    patience: u64,
    /// pgbench scale: 100,000 accounts each.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// pgbench scale of the copy with more indexes.
    #[arg(long, default_value_t = 100)]
    indexed_scale: u32,
    /// Rounds of the workloads that take a median.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of one round of TPC-B, and of each rate of the lag.
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// Transactions of the TPC-B backlog, four rows each.
    #[arg(long, default_value_t = 20_000)]
    transactions: u64,
    /// Rows of the one large transaction.
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Tables of the workloads with many.
    #[arg(long, default_value_t = 1000)]
    tables: u32,
    /// Numbers of subscribers.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    subscribers: Vec<usize>,
    /// Transactions a second at which the lag is measured.
    #[arg(long, value_delimiter = ',', default_value = "50,200,1000")]
    rates: Vec<u32>,
    /// Seconds of doing nothing.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u32,
    /// Where runs are kept: JSON, text and plot in a folder a date.
    #[arg(long, default_value = "benches/results")]
    out: PathBuf,
    /// Measures nothing: makes one report of these kept runs (their JSON).
    #[arg(long, value_delimiter = ',')]
    join: Vec<PathBuf>,
}

impl Args {
    fn plan(&self, peers: Vec<peer::Name>) -> Plan {
        let full = Plan {
            peers,
            scale: self.scale,
            indexed_scale: self.indexed_scale,
            rounds: self.rounds,
            seconds: self.seconds,
            transactions: self.transactions,
            rows: self.rows,
            tables: self.tables,
            subscribers: self.subscribers.clone(),
            rates: self.rates.clone(),
            idle_seconds: self.idle_seconds,
        };
        match (self.quick, self.short) {
            (true, _) => full.quick(),
            (false, true) => full.short(),
            (false, false) => full,
        }
    }
}

/// The peers that this machine can measure, and what to say of the others.
fn peers(args: &Args) -> anyhow::Result<(Vec<peer::Name>, Vec<String>)> {
    let wanted: Vec<peer::Name> = if args.peer.is_empty() {
        peer::Name::usual()
    } else {
        args.peer.clone()
    };
    let mut left_out = Vec::new();
    let mut here = Vec::new();
    for peer in wanted {
        let missing = peer.missing();
        if missing.is_empty() {
            here.push(peer);
        } else if args.leave_out_missing {
            left_out.push(format!("{peer}: missing {}", missing.join(" ")));
        } else {
            bail!(
                "{peer} needs Debian packages that are missing: apt-get install {} \
                 (or --leave-out-missing, or choose with --peer)",
                missing.join(" ")
            );
        }
    }
    Ok((here, left_out))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if !args.join.is_empty() {
        let path = Report::join(&args.join)?.write(&args.out)?;
        println!("{}", path.display());
        return Ok(());
    }
    pair::be_patient(Duration::from_secs(args.patience));
    let (peers, left_out) = peers(&args)?;
    let plan = args.plan(peers);
    let works = if args.workload.is_empty() {
        Work::value_variants()
    } else {
        &args.workload
    };
    let mut report = Report::new(plan.sizes(), left_out);
    let budget = args.budget.map(|minutes| Duration::from_secs(minutes * 60));
    let started = Instant::now();
    for work in works {
        let workload = work.workload();
        eprintln!("== {}", workload.name());
        for part in workload.parts(&plan) {
            if budget.is_some_and(|budget| started.elapsed() >= budget) {
                let peers: Vec<String> = part.peers.iter().map(ToString::to_string).collect();
                let what = format!("{} of {}", workload.name(), peers.join(", "));
                report.leave_out(format!("{what}: no time was left"));
                continue;
            }
            for measurement in measured(workload.as_ref(), &part) {
                eprintln!("{}", measurement.line());
                report.add(&measurement);
            }
            // After each, so that what was measured is kept whatever comes.
            report.write(&args.out)?;
        }
    }
    println!("{}", report.markdown());
    let path = report.write(&args.out)?;
    eprintln!(
        "written: {} (a run that stays needs its line in {})",
        path.display(),
        args.out.join("README.md").display()
    );
    Ok(())
}

/// What a part gives; where it fails, a line for each of its peers that says why.
fn measured(workload: &dyn Workload, part: &Plan) -> Vec<Measurement> {
    attempt(|| workload.measure(part)).unwrap_or_else(|why| {
        let failed = |peer: &peer::Name| Measurement::failed(&workload.name(), peer, &why);
        part.peers.iter().map(failed).collect()
    })
}

#[cfg(test)]
mod small_runs;
