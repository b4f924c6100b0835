//! What was measured, as JSON for machines and as Markdown for people, kept
//! under the date of the run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::pair::{Checked, SETTINGS};
use crate::workload::Plan;

/// One workload of one peer.
pub(crate) struct Measurement {
    workload: String,
    peer: String,
    /// The median of the rounds.
    pub(crate) seconds: Option<f64>,
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
    /// Something to know.
    pub(crate) note: String,
}

impl Measurement {
    /// An empty measurement of what this peer does.
    pub(crate) fn new(workload: impl Into<String>, peer: impl ToString) -> Self {
        Self {
            workload: workload.into(),
            peer: peer.to_string(),
            seconds: None,
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

    /// The measurement in one line.
    pub(crate) fn line(&self) -> String {
        self.cells()[1..].join("  ")
    }

    fn cells(&self) -> [String; 8] {
        let optional = |value: Option<String>| value.unwrap_or_default();
        [
            self.workload.clone(),
            self.peer.clone(),
            optional(self.seconds.map(|seconds| format!("{seconds:.3} s"))),
            optional(self.rate.map(|(rate, unit)| format!("{rate:.0} {unit}"))),
            optional(self.ratio.map(|ratio| format!("{ratio:.2}"))),
            optional(self.peak_rss_kb.map(|kb| format!("{} MB", kb / 1024))),
            self.checked
                .iter()
                .map(|(table, digest)| {
                    let table = table.strip_prefix("public.").unwrap_or(table);
                    format!("{table}: {} = {}", digest.rows, digest.sum)
                })
                .collect::<Vec<_>>()
                .join(", "),
            self.note.clone(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "workload": self.workload,
            "peer": self.peer,
            "seconds": self.seconds,
            "rate": self.rate.map(|(rate, _)| rate),
            "unit": self.rate.map(|(_, unit)| unit),
            "ratio": self.ratio,
            "runs": self.runs,
            "peak_rss_kb": self.peak_rss_kb,
            "checked": self.checked.iter().map(|(table, digest)| json!({
                "table": table, "rows": digest.rows, "checksum": digest.sum,
            })).collect::<Vec<_>>(),
            "note": self.note,
        })
    }
}

/// All measurements of one run, and where they were made.
pub(crate) struct Report {
    time: jiff::Zoned,
    about: Value,
    measurements: Vec<Measurement>,
}

impl Report {
    /// An empty report of a run with this plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        // A machine that does not tell is measured all the same; the report then says so.
        let told = |file| std::fs::read_to_string(file).unwrap_or_else(|error| error.to_string());
        let cpu = told("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown".to_owned(), |name| {
                name.trim_start_matches([' ', '\t', ':']).to_owned()
            });
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            time: jiff::Zoned::now(),
            about: json!({
                "cpu": cpu,
                "cores": cores,
                // Somebody else's work on the machine shows here.
                "load_average_at_start": told("/proc/loadavg").trim(),
                "postgresql": "Debian's 15, provider and subscriber on the same machine",
                "settings": SETTINGS.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
                "load": "pgbench (simple protocol, as it is by default) with synchronous_commit=off",
                "scale": plan.scale,
                "rounds": plan.rounds,
                "seconds_of_a_round": plan.seconds,
            }),
            measurements: Vec::new(),
        }
    }

    /// Adds a measurement.
    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// The report as a Markdown text.
    pub(crate) fn markdown(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header([
            "workload",
            "peer",
            "median",
            "rate",
            "ratio",
            "peak RSS",
            "rows = checksum, equal on both sides",
            "note",
        ]);
        for measurement in &self.measurements {
            table.add_row(measurement.cells());
        }
        let text = |key: &str| {
            self.about
                .get(key)
                .map_or_else(String::new, Value::to_string)
        };
        format!(
            "# Benchmark of {}\n\nMachine: {}, {} cores, load average at the start {}. PostgreSQL: {}. Settings of both servers, the same for every peer: {}. \
             Load: {}. pgbench scale {}, {} rounds (the median counts), {} s a round of TPC-B. Only ratios within this run mean anything.\n\n{table}\n",
            self.time.strftime("%F %R %Z"),
            text("cpu"),
            text("cores"),
            text("load_average_at_start"),
            text("postgresql"),
            text("settings"),
            text("load"),
            text("scale"),
            text("rounds"),
            text("seconds_of_a_round"),
        )
    }

    /// Writes `DATE.json` and `DATE.md` and gives the path of the latter.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
        let stem = self.time.strftime("%Y-%m-%d-%H%M").to_string();
        let json = json!({
            "time": self.time.strftime("%FT%T%:z").to_string(),
            "about": self.about,
            "measurements": self.measurements.iter().map(Measurement::json).collect::<Vec<_>>(),
        });
        let path = out.join(format!("{stem}.json"));
        std::fs::write(&path, serde_json::to_string_pretty(&json)?)
            .with_context(|| format!("write {}", path.display()))?;
        let path = out.join(format!("{stem}.md"));
        std::fs::write(&path, self.markdown())
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
