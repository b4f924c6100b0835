//! What a replication costs while nothing happens: CPU of its daemons, and of
//! the servers beside it.

use std::time::{Duration, Instant};

use crate::measurement::Measurement;
use crate::peer::Running;
use crate::tables::Tables;
use crate::workload::backlog::many_tables;
use crate::workload::{Plan, Workload};

/// The number of idle tables.
pub(crate) enum Idle {
    /// The tables of pgbench.
    FewTables,
    /// The tables of pgbench, and the plan's number of tables more.
    ManyTables,
}

/// Hundredths of a second of CPU that these processes have used so far.
fn ticks(pids: &[i32]) -> u64 {
    pids.iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| {
            let rest = stat.rsplit_once(')')?.1.to_owned();
            let mut fields = rest.split_whitespace().skip(11);
            let mut next = || fields.next()?.parse::<u64>().ok();
            Some(next()? + next()?)
        })
        .sum()
}

fn servers(running: &Running) -> Vec<i32> {
    [&running.pair.provider, &running.pair.subscriber]
        .into_iter()
        .filter_map(tests::Cluster::pid)
        .flat_map(|pid| [vec![pid], tests::children(pid)].concat())
        .collect()
}

impl Workload for Idle {
    fn name(&self) -> String {
        match self {
            Self::FewTables => "idle",
            Self::ManyTables => "idle, many tables",
        }
        .to_owned()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let tables = match self {
                Self::FewTables => Tables::from(1),
                Self::ManyTables => Tables::from(1).with(many_tables(plan.tables)),
            };
            let running = Running::in_sync(name, tables);
            // Work that is done once after the copy must not be measured.
            std::thread::sleep(Duration::from_secs(5));
            let (daemons, servers) = (running.peer.daemons(&running.pair), servers(&running));
            let before = (ticks(&daemons), ticks(&servers));
            let started = Instant::now();
            std::thread::sleep(Duration::from_secs(u64::from(plan.idle_seconds)));
            let seconds = started.elapsed().as_secs_f64();
            let share = |before, after: u64| after.saturating_sub(before) as f64 / seconds;
            let of_daemons = share(before.0, ticks(&daemons));
            let of_servers = share(before.1, ticks(&servers));
            let mut measurement = Measurement::new(self.name(), name);
            measurement.rate = Some((of_daemons, "% of a core"));
            measurement.note = format!(
                "both servers with all their processes beside it: {of_servers:.2} % of a core"
            );
            measurement.peak_rss_kb = running.peer.peak_rss_kb();
            measurement.checked = running.pair.check();
            measurements.push(measurement);
        }
        Ok(measurements)
    }
}
