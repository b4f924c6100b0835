//! Initial copy: from the command that adds the tables until all are in sync.

use std::time::Instant;

use crate::peer::Running;
use crate::report::Measurement;
use crate::workload::{Plan, Workload, median};

/// The pgbench tables of the plan's scale.
pub(crate) struct Copy;

impl Workload for Copy {
    fn name(&self) -> &'static str {
        "initial copy"
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let mut seconds = Vec::new();
            let mut last = Measurement::new(self.name(), name);
            for _ in 0..plan.rounds {
                let mut running = Running::set_up(name, plan.scale);
                let started = Instant::now();
                running.peer.add_all(&running.pair);
                running.wait_in_sync();
                seconds.push(started.elapsed().as_secs_f64());
                last.peak_rss_kb = running.peer.peak_rss_kb().max(last.peak_rss_kb);
                running.pair.wait_applied();
                last.checked = running.pair.check();
            }
            let rows: u64 = last.checked.iter().map(|(_, digest)| digest.rows).sum();
            last.seconds = Some(median(&mut seconds));
            last.rate = Some((rows as f64 / median(&mut seconds), "rows/s"));
            last.runs = seconds;
            measurements.push(last);
        }
        Ok(measurements)
    }
}
