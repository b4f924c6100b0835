//! The result of one workload of one peer: as it is measured, and as a report keeps it.

use serde::{Deserialize, Serialize};

use crate::pair::Checked;

/// How the note of a failed peer begins.
pub(crate) const FAILED: &str = "failed: ";

/// One workload of one peer.
#[derive(Clone)]
pub(crate) struct Measurement {
    pub(crate) workload: String,
    peer: String,
    /// The median of the rounds, or of the samples.
    pub(crate) seconds: Option<f64>,
    /// The 99th percentile of the samples, in seconds.
    pub(crate) p99: Option<f64>,
    /// The greatest sample, in seconds.
    pub(crate) max: Option<f64>,
    /// The median rate and its unit.
    pub(crate) rate: Option<(f64, &'static str)>,
    /// The share of the uncaptured rate or time in the same run.
    pub(crate) ratio: Option<f64>,
    /// Every round: seconds, or the rate where there are no seconds.
    pub(crate) runs: Vec<f64>,
    /// The most resident memory of the applying process.
    pub(crate) peak_rss_kb: Option<u64>,
    /// Row counts and checksums, compared and equal on both sides.
    pub(crate) checked: Checked,
    /// A note for the reader of the report.
    pub(crate) note: String,
}

impl Measurement {
    /// An empty measurement of what this peer does.
    pub(crate) fn new(workload: impl Into<String>, peer: impl ToString) -> Self {
        Self {
            workload: workload.into(),
            peer: peer.to_string(),
            seconds: None,
            p99: None,
            max: None,
            rate: None,
            ratio: None,
            runs: Vec::new(),
            peak_rss_kb: None,
            checked: Checked::new(),
            note: String::new(),
        }
    }

    /// An empty measurement of the tables without any replication.
    pub(crate) fn base(workload: impl Into<String>) -> Self {
        Self::new(workload, "uncaptured")
    }

    /// A peer that could not be measured, and why.
    pub(crate) fn failed(workload: &str, peer: impl ToString, why: &str) -> Self {
        let mut failed = Self::new(workload, peer);
        failed.note = format!("{FAILED}{why}");
        failed
    }

    /// The peer's name.
    #[cfg(test)]
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Whether the measurement is the reason of a failure, without a value.
    pub(crate) fn has_failed(&self) -> bool {
        self.note.starts_with(FAILED)
    }

    /// The measurement in one line.
    pub(crate) fn line(&self) -> String {
        let entry = Entry::from(self);
        entry.cells(None)[1..].join("  ")
    }
}

/// A compared table as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Compared {
    table: String,
    rows: u64,
    checksum: String,
}

/// A measurement as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) workload: String,
    pub(crate) peer: String,
    pub(crate) seconds: Option<f64>,
    #[serde(default)]
    pub(crate) p99: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
    pub(crate) rate: Option<f64>,
    pub(crate) unit: Option<String>,
    pub(crate) ratio: Option<f64>,
    runs: Vec<f64>,
    peak_rss_kb: Option<u64>,
    checked: Vec<Compared>,
    pub(crate) note: String,
    /// The run that this measurement was joined from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<String>,
}

impl From<&Measurement> for Entry {
    fn from(of: &Measurement) -> Self {
        Self {
            workload: of.workload.clone(),
            peer: of.peer.clone(),
            seconds: of.seconds,
            p99: of.p99,
            max: of.max,
            rate: of.rate.map(|(rate, _)| rate),
            unit: of.rate.map(|(_, unit)| unit.to_owned()),
            ratio: of.ratio,
            runs: of.runs.clone(),
            peak_rss_kb: of.peak_rss_kb,
            checked: of
                .checked
                .iter()
                .map(|(table, digest)| Compared {
                    table: table.clone(),
                    rows: digest.rows,
                    checksum: digest.sum.clone(),
                })
                .collect(),
            note: of.note.clone(),
            run: None,
        }
    }
}

impl Entry {
    /// The row of the table; `builtin` is the measurement of built-in replication in the same workload.
    pub(crate) fn cells(&self, builtin: Option<&Entry>) -> [String; 9] {
        // A value that was not measured is an empty cell.
        let optional = |value: Option<String>| value.unwrap_or_default();
        let time = match (self.seconds, self.p99, self.max) {
            (Some(p50), Some(p99), Some(max)) => format!(
                "p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
                p50 * 1e3,
                p99 * 1e3,
                max * 1e3
            ),
            (Some(seconds), _, _) => format!("{seconds:.3} s"),
            _ => String::new(),
        };
        let rate = self.rate.zip(self.unit.as_deref()).map(|(rate, unit)| {
            // A share of a core is a small number, a rate a large one.
            let digits = if rate < 10.0 { 2 } else { 0 };
            format!("{rate:.digits$} {unit}")
        });
        [
            self.workload.clone(),
            self.peer.clone(),
            time,
            optional(rate),
            optional(self.against(builtin).map(|ratio| format!("{ratio:.2}"))),
            optional(self.ratio.map(|ratio| format!("{ratio:.2}"))),
            optional(self.peak_rss_kb.map(|kb| format!("{} MB", kb / 1024))),
            self.checked
                .iter()
                .map(|one| {
                    let table = one.table.strip_prefix("public.").unwrap_or(&one.table);
                    format!("{table}: {} = {}", one.rows, one.checksum)
                })
                .collect::<Vec<_>>()
                .join(", "),
            self.note.clone(),
        ]
    }

    /// The rate as a multiple of built-in's rate, if both have a rate of work.
    fn against(&self, builtin: Option<&Entry>) -> Option<f64> {
        let of_work = |entry: &Entry| entry.rate.filter(|_| entry.unit.as_deref() != Some(SHARE));
        Some(of_work(self)? / of_work(builtin?)?)
    }
}

/// The unit of which less is better.
pub(crate) const SHARE: &str = "% of a core";
