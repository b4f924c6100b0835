//! Lag: from a writer's commit on the provider until it is seen on the
//! subscriber, while pgbench does a steady number of transactions a second.

use std::time::{Duration, Instant};

use crate::measurement::Measurement;
use crate::pair::{DB, Pair};
use crate::peer::Running;
use crate::workload::{Plan, Workload};

/// One sample at a time, all through the load, for each of the plan's rates.
pub(crate) struct Lag;

/// A quantile: the value below which this share of the sorted values is.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Lags in seconds, sorted, and the rate that pgbench reached.
fn sample(pair: &Pair, rate: u32, seconds: u32) -> anyhow::Result<(Vec<f64>, f64)> {
    let mut lags = Vec::new();
    let output = std::thread::scope(|scope| {
        // pgbench in a thread; the sampler's sessions stay in this one.
        let (provider, scratch) = (&pair.provider, &pair.scratch);
        let load = scope.spawn(move || {
            let (rate, seconds) = (rate.to_string(), seconds.to_string());
            let mut command = provider.client("pgbench", DB);
            command
                .env("PGOPTIONS", "-c synchronous_commit=off")
                .current_dir(scratch.path())
                .args([
                    "-n", "-M", "prepared", "-c", "2", "-R", &rate, "-T", &seconds,
                ]);
            tests::run_in(&mut command, Duration::from_secs(600)).ok()
        });
        let started = Instant::now();
        while !load.is_finished() && started.elapsed() < Duration::from_secs(600) {
            lags.push(pair.wait_applied().as_secs_f64());
            // The samples must not be in step with any loop of the peers.
            std::thread::sleep(Duration::from_millis(20 + (lags.len() as u64 * 7) % 23));
        }
        load.join()
    })
    .map_err(|_| anyhow::anyhow!("pgbench did not end well"))?
    .stdout;
    let reached = output
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| anyhow::anyhow!("pgbench printed no tps:\n{output}"))?;
    lags.sort_by(f64::total_cmp);
    Ok((lags, reached))
}

impl Workload for Lag {
    fn name(&self) -> String {
        "lag".to_owned()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let running = Running::in_sync(name, plan.scale);
            for &rate in &plan.rates {
                running.pair.settle();
                let (lags, reached) = sample(&running.pair, rate, plan.seconds)?;
                let mut measurement = Measurement::new(format!("lag at {rate} tx/s"), name);
                measurement.seconds = Some(quantile(&lags, 0.5));
                measurement.p99 = Some(quantile(&lags, 0.99));
                measurement.max = Some(quantile(&lags, 1.0));
                measurement.note =
                    format!("{} samples; pgbench reached {reached:.0} tx/s", lags.len());
                measurement.runs = lags;
                measurement.peak_rss_kb = running.peer.peak_rss_kb();
                running.pair.wait_applied();
                measurement.checked = running.pair.check();
                measurements.push(measurement);
            }
        }
        // The measurements are sorted by rate first, then by peer, as the others are.
        measurements.sort_by_key(|measurement| {
            plan.rates
                .iter()
                .position(|rate| measurement.workload == format!("lag at {rate} tx/s"))
        });
        Ok(measurements)
    }
}
