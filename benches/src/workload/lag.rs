//! Lag: from a commit on the provider until it is seen on the subscriber, while
//! pgbench does 200 transactions a second.

use std::time::{Duration, Instant};

use crate::peer::Running;
use crate::report::Measurement;
use crate::workload::{Plan, Workload};

/// One sample at a time, all along the load.
pub(crate) struct Lag;

/// The value below which this share of the sorted values is.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

impl Workload for Lag {
    fn name(&self) -> &'static str {
        "lag at 200 tx/s"
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let running = Running::in_sync(name, plan.scale);
            let seconds = (plan.seconds * plan.rounds).max(10);
            let mut lags = Vec::new();
            std::thread::scope(|scope| {
                let pair = &running.pair;
                // pgbench in a thread; the sampler's sessions stay in this one.
                let (provider, scratch) = (&pair.provider, &pair.scratch);
                let load = scope.spawn(move || {
                    let seconds = seconds.to_string();
                    let mut command = provider.client("pgbench", crate::pair::DB);
                    command
                        .env("PGOPTIONS", "-c synchronous_commit=off")
                        .current_dir(scratch.path())
                        .args(["-n", "-c", "2", "-R", "200", "-T", &seconds]);
                    tests::run(&mut command).ok()
                });
                let started = Instant::now();
                while !load.is_finished() && started.elapsed() < Duration::from_secs(600) {
                    lags.push(pair.wait_applied().as_secs_f64());
                    // Not in step with any loop of theirs.
                    std::thread::sleep(Duration::from_millis(40 + (lags.len() as u64 * 7) % 23));
                }
            });
            lags.sort_by(f64::total_cmp);
            let mut measurement = Measurement::new(self.name(), name);
            measurement.seconds = Some(quantile(&lags, 0.5));
            measurement.note = format!(
                "p50 {:.0} ms, p99 {:.0} ms, of {} samples",
                quantile(&lags, 0.5) * 1000.0,
                quantile(&lags, 0.99) * 1000.0,
                lags.len()
            );
            measurement.peak_rss_kb = running.peer.peak_rss_kb();
            running.pair.wait_applied();
            measurement.checked = running.pair.check();
            measurements.push(measurement);
        }
        Ok(measurements)
    }
}
