//! What was measured, as JSON for machines, as Markdown for people and as a
//! plot, kept under the date of the run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::pair::{Checked, SETTINGS};
use crate::workload::Plan;

/// How the note of a peer begins that could not be measured.
pub(crate) const FAILED: &str = "failed: ";

/// One workload of one peer.
#[derive(Clone)]
pub(crate) struct Measurement {
    pub(crate) workload: String,
    peer: String,
    /// The median of the rounds, or of the samples.
    pub(crate) seconds: Option<f64>,
    /// The value that 99 of 100 samples do not pass, in seconds.
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

    /// Whose it is.
    #[cfg(test)]
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Whether it says why there is no value.
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
    /// The run that this was joined from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
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
    /// The row of the table; `builtin` is what built-in replication did in the
    /// same workload.
    fn cells(&self, builtin: Option<&Entry>) -> [String; 9] {
        // What was not measured is an empty cell.
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

    /// Times built-in's rate, where both have a rate of work.
    fn against(&self, builtin: Option<&Entry>) -> Option<f64> {
        let of_work = |entry: &Entry| entry.rate.filter(|_| entry.unit.as_deref() != Some(SHARE));
        Some(of_work(self)? / of_work(builtin?)?)
    }
}

/// The unit of which less is better.
pub(crate) const SHARE: &str = "% of a core";

/// Where and how a run was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    cpu: String,
    cores: usize,
    /// Somebody else's work on the machine shows here.
    load_average_at_start: String,
    postgresql: String,
    settings: Vec<String>,
    load: String,
    /// The sizes, as `--name value`.
    #[serde(default)]
    sizes: String,
    /// Peers that could not be measured, and why.
    #[serde(default)]
    left_out: Vec<String>,
}

/// All measurements of one run, and where they were made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    time: String,
    about: About,
    measurements: Vec<Entry>,
}

impl Report {
    /// An empty report of a run with this plan.
    pub(crate) fn new(plan: &Plan, left_out: Vec<String>) -> Self {
        // A machine that does not tell is measured all the same; the report then says so.
        let told = |file| std::fs::read_to_string(file).unwrap_or_else(|error| error.to_string());
        let cpu = told("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown".to_owned(), |name| {
                name.trim_start_matches([' ', '\t', ':']).to_owned()
            });
        Self {
            time: jiff::Zoned::now().strftime("%FT%T%:z").to_string(),
            about: About {
                cpu,
                cores: std::thread::available_parallelism().map_or(0, usize::from),
                load_average_at_start: told("/proc/loadavg").trim().to_owned(),
                postgresql: "Debian's 15, provider and subscriber on the same machine".to_owned(),
                settings: SETTINGS
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                load: "pgbench with synchronous_commit=off, in the simple protocol (its default) \
                       but for the lag, where statements are prepared"
                    .to_owned(),
                sizes: plan.sizes(),
                left_out,
            },
            measurements: Vec::new(),
        }
    }

    /// One report of several kept runs: the first one's machine and settings;
    /// each measurement names its run. A later run of the same workload and
    /// peer takes the place of an earlier one.
    pub(crate) fn join(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut joined: Option<Self> = None;
        for file in files {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("read {}", file.display()))?;
            let mut run: Self = serde_json::from_str(&text)
                .with_context(|| format!("{} is no kept run", file.display()))?;
            for entry in &mut run.measurements {
                entry.run.get_or_insert_with(|| run.time.clone());
            }
            match &mut joined {
                None => joined = Some(run),
                Some(all) => all.take(run),
            }
        }
        let mut joined = joined.context("no kept run is named")?;
        joined.time = jiff::Zoned::now().strftime("%FT%T%:z").to_string();
        Ok(joined)
    }

    fn take(&mut self, run: Self) {
        for entry in run.measurements {
            let same = |have: &Entry| have.workload == entry.workload && have.peer == entry.peer;
            // Beside its workload, so that a table reads well.
            let at = self
                .measurements
                .iter()
                .rposition(|have| have.workload == entry.workload);
            if let Some(have) = self.measurements.iter_mut().find(|have| same(have)) {
                // What was measured once is not lost to a later run that failed.
                if !entry.note.starts_with(FAILED) || have.note.starts_with(FAILED) {
                    *have = entry;
                }
            } else {
                let at = at.map_or(self.measurements.len(), |at| at + 1);
                self.measurements.insert(at, entry);
            }
        }
        if !self.about.sizes.contains(&run.about.sizes) {
            self.about.sizes.push_str("; or ");
            self.about.sizes.push_str(&run.about.sizes);
        }
        self.about.left_out.extend(run.about.left_out);
    }

    /// Adds a measurement, beside those of the same workload.
    pub(crate) fn add(&mut self, measurement: &Measurement) {
        let entry = Entry::from(measurement);
        let same = |have: &Entry| have.workload == entry.workload;
        let at = self.measurements.iter().rposition(same);
        let at = at.map_or(self.measurements.len(), |at| at + 1);
        self.measurements.insert(at, entry);
    }

    /// Notes what is not in this run, and why.
    pub(crate) fn leave_out(&mut self, what: String) {
        self.about.left_out.push(what);
    }

    /// The report as a Markdown text.
    pub(crate) fn markdown(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header([
            "workload",
            "peer",
            "median",
            "rate",
            "times built-in",
            "of uncaptured",
            "peak RSS",
            "rows = checksum, equal on both sides",
            "note",
        ]);
        for entry in &self.measurements {
            let builtin = self
                .measurements
                .iter()
                .find(|other| other.workload == entry.workload && other.peer == "built-in");
            table.add_row(entry.cells(builtin));
        }
        let about = &self.about;
        let left_out = if about.left_out.is_empty() {
            String::new()
        } else {
            format!("Left out: {}. ", about.left_out.join("; "))
        };
        format!(
            "# Benchmark of {}\n\nMachine: {}, {} cores, load average at the start {}. PostgreSQL: {}. Settings of both servers, the same for every peer: {}. \
             Load: {}. Sizes: {}. {left_out}Only ratios within one run mean anything.\n\n{}\n\nIn brackets: the share of the uncaptured value.\n\n{table}\n",
            self.time,
            about.cpu,
            about.cores,
            about.load_average_at_start,
            about.postgresql,
            about.settings.join(" "),
            about.load,
            about.sizes,
            crate::summary::table(&self.measurements),
        )
    }

    /// Writes `DATE.json`, `DATE.md` and `DATE.svg` and gives the path of the text.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
        let stem: String = self.time.chars().take(16).collect();
        let stem = stem.replace('T', "-").replace(':', "");
        let keep = |extension: &str, text: &str| {
            let path = out.join(format!("{stem}.{extension}"));
            std::fs::write(&path, text)
                .with_context(|| format!("write {}", path.display()))
                .map(|()| path)
        };
        keep("json", &serde_json::to_string_pretty(self)?)?;
        keep("svg", &crate::plot::svg(&self.measurements)?)?;
        keep("md", &self.markdown())
    }
}
