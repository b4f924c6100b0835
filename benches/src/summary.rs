//! The report in short, for a page of the documentation: a line for each workload, a column for each peer.

use comfy_table::{Table, presets};

use crate::measurement::{Entry, FAILED, SHARE};

/// The peers that have columns, as the reports name them, and as people do.
const COLUMNS: [(&[&str], &str); 5] = [
    (&["trunkline"], "Trunkline"),
    (&["built-in"], "built-in"),
    (
        &["londiste", "PgQ 3.5", "PgQ 3.5 logutriga"],
        "Londiste 3 or PgQ",
    ),
    (&["slony", "Slony-I 2.2"], "Slony-I"),
    (&["uncaptured", "by hand"], "uncaptured, or by hand"),
];

/// The result of one peer, in few words.
fn cell(entry: &Entry) -> String {
    if entry.note.starts_with(FAILED) {
        return "failed".to_owned();
    }
    let amount = |rate: f64| match rate {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate => format!("{rate:.0}"),
    };
    let value = match (entry.rate, entry.unit.as_deref(), entry.seconds, entry.p99) {
        (Some(rate), Some(SHARE), _, _) => format!("{rate:.2} %"),
        (Some(rate), _, _, _) => amount(rate),
        (None, _, Some(p50), Some(p99)) => format!("{:.0} / {:.0} ms", p50 * 1e3, p99 * 1e3),
        (None, _, Some(seconds), None) => format!("{seconds:.2} s"),
        (None, _, None, _) => String::new(),
    };
    match entry.ratio {
        Some(ratio) if ratio != 1.0 => format!("{value} ({ratio:.2})"),
        Some(_) | None => value,
    }
}

/// A line for each workload, in the order of the report. In brackets: the share of the uncaptured value.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut table = Table::new();
    let peers = COLUMNS.iter().map(|(_, name)| (*name).to_owned());
    let header = std::iter::once("work".to_owned()).chain(peers);
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    let mut done: Vec<&str> = Vec::new();
    for entry in entries {
        if done.contains(&entry.workload.as_str()) {
            continue;
        }
        done.push(&entry.workload);
        let of = |names: &[&str]| {
            entries
                .iter()
                .find(|one| one.workload == entry.workload && names.contains(&one.peer.as_str()))
                .map_or(String::new(), cell)
        };
        let unit = match entry.unit.as_deref() {
            Some(SHARE) => ", share of a core".to_owned(),
            Some(unit) => format!(", {unit}"),
            None if entry.p99.is_some() => ", p50 / p99".to_owned(),
            None => String::new(),
        };
        let name = format!("{}{unit}", entry.workload);
        let cells = COLUMNS.iter().map(|(names, _)| of(names));
        table.add_row(std::iter::once(name).chain(cells));
    }
    table.to_string()
}
