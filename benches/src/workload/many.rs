//! One provider, several subscribers: a TPC-B backlog that all of them have to
//! apply, timed until the last one has it. The subscribers are databases of one server.

use std::time::{Duration, Instant};

use crate::peer::Running;
use crate::report::Measurement;
use crate::tables::Tables;
use crate::workload::backlog::tpc_b;
use crate::workload::{Plan, Workload, median};

/// The plan's numbers of subscribers, one after the other.
pub(crate) struct ManySubscribers;

impl Workload for ManySubscribers {
    fn name(&self) -> String {
        "backlog: TPC-B, several subscribers".to_owned()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &subscribers in &plan.subscribers {
            for &name in &plan.peers {
                let tables = Tables::from(1).for_subscribers(subscribers);
                let mut running = Running::in_sync(name, tables);
                let mut seconds = Vec::new();
                let mut last =
                    Measurement::new(format!("backlog: TPC-B, {subscribers} subscribers"), name);
                let mut rows = 0;
                for _ in 0..plan.rounds {
                    running.peer.stop_apply(&running.pair);
                    rows = tpc_b(&running.pair, plan.transactions);
                    running.pair.settle();
                    std::thread::sleep(Duration::from_secs(1));
                    let started = Instant::now();
                    running.peer.start_apply(&running.pair);
                    running.pair.wait_applied();
                    seconds.push(started.elapsed().as_secs_f64());
                    last.peak_rss_kb = running.peer.peak_rss_kb().max(last.peak_rss_kb);
                }
                last.checked = running.pair.check();
                last.seconds = Some(median(&mut seconds));
                last.rate = Some((
                    (rows * subscribers as u64) as f64 / median(&mut seconds),
                    "rows/s",
                ));
                last.note = format!("{rows} changed rows a round for each subscriber");
                last.runs = seconds;
                measurements.push(last);
            }
        }
        Ok(measurements)
    }
}
