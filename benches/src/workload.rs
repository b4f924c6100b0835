//! One workload is one file: what is done, what is timed, what is checked.

pub(crate) mod backlog;
pub(crate) mod capture_bulk;
pub(crate) mod copy;
pub(crate) mod kept;
pub(crate) mod lag;
pub(crate) mod queue;

use crate::peer::Name;
use crate::report::Measurement;

/// What a run shall measure.
pub(crate) struct Plan {
    pub(crate) peers: Vec<Name>,
    /// pgbench scale.
    pub(crate) scale: u32,
    /// Rounds of the workloads that take a median.
    pub(crate) rounds: u32,
    /// Seconds of one round of TPC-B.
    pub(crate) seconds: u32,
}

/// Something to measure.
pub(crate) trait Workload {
    /// As it stands in the report.
    fn name(&self) -> &'static str;

    /// Measures every peer of the plan, each on fresh servers.
    fn measure(&self, plan: &Plan) -> anyhow::Result<Vec<Measurement>>;
}

/// The middle value; of an even number of values the lower middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
