//! What capture costs a bulk statement: INSERT of 200,000 rows, captured and not.

use std::time::Instant;

use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::all_in_sync;
use crate::workload::{Plan, Workload, median};

/// One INSERT of 200,000 rows into a table of five columns.
pub(crate) struct CaptureBulk;

fn insert(pair: &Pair) -> f64 {
    pair.provider.psql(DB, "truncate bulk; checkpoint");
    let started = Instant::now();
    pair.provider.psql(
        DB,
        "set synchronous_commit = off; \
         insert into bulk select i, i % 100, 'row number ' || i, i / 7.0, now() \
         from generate_series(1, 200000) i",
    );
    started.elapsed().as_secs_f64()
}

impl Workload for CaptureBulk {
    fn name(&self) -> String {
        "INSERT of 200,000 rows in one statement".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        vec![plan.clone()]
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let base = Pair::new(1);
        let (running, failed) = all_in_sync(&self.name(), &plan.peers, &1.into());
        let rounds = plan.rounds.max(3);
        let mut base_seconds = Vec::new();
        let mut peer_seconds = vec![Vec::new(); running.len()];
        for _ in 0..rounds {
            base_seconds.push(insert(&base));
            for (index, (_, running)) in running.iter().enumerate() {
                if let Some(seconds) = peer_seconds.get_mut(index) {
                    seconds.push(insert(&running.pair));
                }
                running.pair.wait_applied();
            }
        }
        let base_median = median(&mut base_seconds);
        let mut uncaptured = Measurement::base(self.name());
        uncaptured.seconds = Some(base_median);
        uncaptured.ratio = Some(1.0);
        uncaptured.runs = base_seconds;
        let mut measurements = vec![uncaptured];
        for ((name, running), mut seconds) in running.iter().zip(peer_seconds) {
            let mut measurement = Measurement::new(self.name(), name);
            measurement.seconds = Some(median(&mut seconds));
            measurement.ratio = Some(median(&mut seconds) / base_median);
            measurement.runs = seconds;
            measurement.peak_rss_kb = running.peer.peak_rss_kb();
            measurement.checked = running.pair.check();
            measurements.push(measurement);
        }
        measurements.extend(failed);
        Ok(measurements)
    }
}
