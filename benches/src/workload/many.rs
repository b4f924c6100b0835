//! One provider, several subscribers: a TPC-B backlog that all of them have to
//! apply, timed until the last one has it. The subscribers are databases of one server.

use crate::measurement::Measurement;
use crate::peer::Running;
use crate::tables::Tables;
use crate::workload::backlog::{applied, tpc_b};
use crate::workload::{Plan, Workload};

/// The plan's numbers of subscribers, one after the other.
pub(crate) struct ManySubscribers;

impl Workload for ManySubscribers {
    fn name(&self) -> String {
        "backlog: TPC-B, several subscribers".to_owned()
    }

    fn parts(&self, plan: &Plan) -> Vec<Plan> {
        let with = |&count: &usize| {
            Plan {
                subscribers: vec![count],
                ..plan.clone()
            }
            .peer_by_peer()
        };
        plan.subscribers.iter().flat_map(with).collect()
    }

    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>> {
        let mut measurements = Vec::new();
        for &subscribers in &plan.subscribers {
            for &name in &plan.peers {
                let tables = Tables::from(1).for_subscribers(subscribers);
                let workload = format!("backlog: TPC-B, {subscribers} subscribers");
                let measured = applied(
                    &mut Running::in_sync(name, tables),
                    Measurement::new(workload, name),
                    plan.rounds,
                    &mut |pair| tpc_b(pair, plan.transactions),
                );
                measurements.push(measured);
            }
        }
        Ok(measurements)
    }
}
