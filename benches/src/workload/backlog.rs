//! A backlog: applying is stopped, work is done, applying starts again. Timed
//! from the start to the moment when everything is on the subscriber.

use std::time::Instant;

use crate::pair::{DB, Pair};
use crate::peer::Running;
use crate::report::Measurement;
use crate::workload::{Plan, Workload, median};

/// The kinds of backlog.
pub(crate) enum Backlog {
    /// 20,000 TPC-B transactions of four rows each.
    TpcB,
    /// One statement each: INSERT of 200,000 rows, UPDATE of 150,000, DELETE of 100,000.
    Bulk,
}

impl Backlog {
    /// Does the work and gives the number of changed rows.
    fn work(&self, pair: &Pair) -> u64 {
        match self {
            Self::TpcB => {
                pair.pgbench(&["-n", "-c", "2", "-t", "10000"]);
                80_000
            }
            Self::Bulk => {
                for sql in [
                    "insert into bulk select i, i % 100, 'row number ' || i, i / 7.0, now() \
                     from generate_series(1, 200000) i",
                    "update bulk set a = a + 1, b = b || '!' where id <= 150000",
                    "delete from bulk where id > 100000",
                ] {
                    pair.provider.psql(DB, sql);
                }
                450_000
            }
        }
    }
}

impl Workload for Backlog {
    fn name(&self) -> &'static str {
        match self {
            Self::TpcB => "backlog of 20,000 TPC-B transactions",
            Self::Bulk => "backlog of bulk statements",
        }
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &name in &plan.peers {
            let mut running = Running::in_sync(name, plan.scale);
            let mut seconds = Vec::new();
            let mut last = Measurement::new(self.name(), name);
            let mut rows = 0;
            for _ in 0..plan.rounds {
                running.peer.stop_apply(&running.pair);
                if matches!(self, Self::Bulk) {
                    running.pair.provider.psql(DB, "truncate bulk");
                }
                rows = self.work(&running.pair);
                running.pair.settle();
                // A second for the provider's own work after a load: that is
                // not what is timed.
                std::thread::sleep(std::time::Duration::from_secs(1));
                let started = Instant::now();
                running.peer.start_apply(&running.pair);
                running.pair.wait_applied();
                seconds.push(started.elapsed().as_secs_f64());
                last.peak_rss_kb = running.peer.peak_rss_kb().max(last.peak_rss_kb);
                last.checked = running.pair.check();
            }
            last.seconds = Some(median(&mut seconds));
            last.rate = Some((rows as f64 / median(&mut seconds), "rows/s"));
            last.runs = seconds;
            measurements.push(last);
        }
        Ok(measurements)
    }
}
