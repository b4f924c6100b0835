//! The measurements of one run, as JSON for machines, as text for people and as a plot, kept under the date of the run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::measurement::{Entry, FAILED, Measurement};
use crate::pair::SETTINGS;

/// Where and how a run was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    cpu: String,
    cores: usize,
    /// The load average, which shows other work on the machine.
    load_average_at_start: String,
    /// The version of this project, and the commit that was built.
    #[serde(default)]
    trunkline: String,
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
    /// An empty report of a run of these sizes (as they are given on the command line).
    pub(crate) fn new(sizes: String, left_out: Vec<String>) -> Self {
        // A machine that does not tell these facts is measured all the same; the report then says so.
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
                trunkline: format!("{}, commit {}", env!("CARGO_PKG_VERSION"), commit()),
                postgresql: "Debian's 15, provider and subscriber on the same machine".to_owned(),
                settings: SETTINGS
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                load: "pgbench with synchronous_commit=off, in the simple protocol (its default) \
                       but for the lag, where statements are prepared"
                    .to_owned(),
                sizes,
                left_out,
            },
            measurements: Vec::new(),
        }
    }

    /// Joins several kept runs into one report, with the first run's machine and settings. Each measurement names its
    /// run. A later run of the same workload and peer replaces an earlier one.
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
            // The measurement goes beside those of its workload, so that a table reads well.
            let at = self
                .measurements
                .iter()
                .rposition(|have| have.workload == entry.workload);
            if let Some(have) = self.measurements.iter_mut().find(|have| same(have)) {
                // A later run that failed does not replace an earlier measurement.
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

    /// Notes a peer that is not in this run, and the reason.
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
            "# Benchmark of {}\n\nMachine: {}, {} cores, load average at the start {}. Trunkline {}. \
             PostgreSQL: {}. Settings of both servers, the same for every peer: {}. \
             Load: {}. Sizes: {}. {left_out}Only ratios within one run mean anything.\n\n{}\n\n\
             In brackets: the share of the uncaptured value.\n\n{table}\n",
            self.time,
            about.cpu,
            about.cores,
            about.load_average_at_start,
            about.trunkline,
            about.postgresql,
            about.settings.join(" "),
            about.load,
            about.sizes,
            crate::summary::table(&self.measurements),
        )
    }

    /// When the run began, as the name under which it is kept: `2026-11-22/0200`.
    fn name(&self) -> String {
        let minute: String = self.time.chars().take(16).collect();
        minute.replace(':', "").replace('T', "/")
    }

    /// Writes `DATE/HHMM.json`, `.svg` and `.txt` below `out` and gives the path of the text.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<PathBuf> {
        let stem = out.join(self.name());
        let folder = stem.parent().unwrap_or(out);
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let keep = |extension: &str, text: &str| {
            let path = stem.with_extension(extension);
            std::fs::write(&path, text)
                .with_context(|| format!("write {}", path.display()))
                .map(|()| path)
        };
        keep("json", &serde_json::to_string_pretty(self)?)?;
        keep("svg", &crate::plot::svg(&self.measurements)?)?;
        keep("txt", &self.markdown())
    }
}

/// The commit of the working tree, with a `+` if files differ from it.
fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--exclude=*", "--dirty=+"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match described {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        // The program was built from an archive, or git is not installed.
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_run_is_kept_in_the_folder_of_its_date() {
        let out = tests::Scratch::new();
        let mut report = Report::new("--scale 1".to_owned(), Vec::new());
        report.time = "2026-11-22T02:06:25+00:00".to_owned();
        let text = report.write(out.path()).expect("a kept run");
        assert_eq!(text, out.path().join("2026-11-22/0206.txt"));
        for extension in ["json", "svg"] {
            assert!(text.with_extension(extension).exists(), "{extension}");
        }
    }
}
