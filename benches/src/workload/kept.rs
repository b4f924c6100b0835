//! TPC-B throughput kept: the share of the uncaptured rate that is left while
//! the tables are captured and replicated on the same machine.

use crate::measurement::Measurement;
use crate::pair::Pair;
use crate::peer::all_in_sync;
use crate::workload::{Plan, Workload, median};

/// Two clients, synchronous_commit off.
pub(crate) struct Kept;

/// One run of pgbench: transactions a second, without the time of connecting.
fn tps(pair: &Pair, seconds: u32) -> anyhow::Result<f64> {
    let seconds = seconds.to_string();
    let output = pair.pgbench(&["-n", "-c", "2", "-T", &seconds]);
    output
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| anyhow::anyhow!("pgbench printed no tps:\n{output}"))
}

impl Workload for Kept {
    fn name(&self) -> String {
        "TPC-B throughput kept".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let base = Pair::new(plan.scale);
        let (running, failed) = all_in_sync(&self.name(), &plan.peers, &plan.scale.into());
        let mut base_tps = Vec::new();
        let mut peer_tps = vec![Vec::new(); running.len()];
        let mut drained = vec![0.0_f64; running.len()];
        // The rounds are interleaved, so that a change of the machine's load concerns all alike.
        for _ in 0..plan.rounds {
            base.settle();
            base_tps.push(tps(&base, plan.seconds)?);
            for (index, (_, running)) in running.iter().enumerate() {
                running.pair.settle();
                if let Some(rates) = peer_tps.get_mut(index) {
                    rates.push(tps(&running.pair, plan.seconds)?);
                }
                let seconds = running.pair.wait_applied().as_secs_f64();
                if let Some(worst) = drained.get_mut(index) {
                    *worst = worst.max(seconds);
                }
            }
        }
        let base_median = median(&mut base_tps);
        let mut measurements = vec![Measurement::base(self.name())];
        if let Some(uncaptured) = measurements.first_mut() {
            uncaptured.rate = Some((base_median, "tx/s"));
            uncaptured.ratio = Some(1.0);
            uncaptured.runs = base_tps;
        }
        let results = running.iter().zip(peer_tps).zip(drained);
        for (((name, running), mut rates), drained) in results {
            let mut measurement = Measurement::new(self.name(), name);
            measurement.rate = Some((median(&mut rates), "tx/s"));
            measurement.ratio = Some(median(&mut rates) / base_median);
            measurement.runs = rates;
            measurement.peak_rss_kb = running.peer.peak_rss_kb();
            measurement.checked = running.pair.check();
            measurement.note = format!("applied at most {drained:.2} s after the load's end");
            measurements.push(measurement);
        }
        measurements.extend(failed);
        Ok(measurements)
    }
}
