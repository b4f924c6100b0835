//! Formats findings for Nagios, for a program (JSON), or for Prometheus' textfile collector. Pure.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use admin::terminal::visible;
use anyhow::Context as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::finding::{Check, Finding, Level, Unit, worst};
use super::range::Range;

/// The plugin's output: one line with all numbers behind a bar, then a line a finding, the worst first.
pub(crate) fn text(findings: &[Finding]) -> String {
    let status = worst(findings);
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    let summary = match sorted.first() {
        None => "there is nothing to check".to_owned(),
        Some(_) if status == Level::Ok => format!("{} looked at, all in order", findings.len()),
        Some(finding) => {
            let bad = findings.iter().filter(|one| one.status > Level::Ok);
            let more = match bad.count() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            format!("{}{more}", sentence(finding))
        }
    };
    let numbers: Vec<String> = findings.iter().flat_map(perfdata).collect();
    let mut text = format!("TRUNKLINE {} - {}", status.word(), plain(&summary));
    if !numbers.is_empty() {
        text.push_str(&format!(" | {}", numbers.join(" ")));
    }
    text.push('\n');
    for finding in sorted {
        let line = format!("{} {}", finding.status.word(), sentence(finding));
        text.push_str(&plain(&line));
        text.push('\n');
    }
    text
}

fn sentence(finding: &Finding) -> String {
    let Finding {
        check, of, message, ..
    } = finding;
    format!("{} {of}: {message}", check.word())
}

/// Text that Nagios does not split: a bar would begin the numbers.
pub(super) fn plain(text: &str) -> String {
    visible(text).replace('|', "\u{a6}")
}

/// `'NAME OF'=VALUE[UNIT];WARN;CRIT` for each number.
fn perfdata(finding: &Finding) -> Vec<String> {
    let limit = |limit: Option<Range>| limit.map_or(String::new(), |limit| limit.to_string());
    let of =
        |number| -> String { plain(&format!("{number} {}", finding.of)).replace(['\'', '='], "_") };
    let numbers = finding.numbers.iter().map(|number| {
        let unit = match number.unit {
            Unit::Seconds => "s",
            Unit::Bytes => "B",
            Unit::Count => "",
        };
        format!(
            "'{}'={}{unit};{};{}",
            of(number.name),
            number.value,
            limit(number.limits.warn),
            limit(number.limits.crit)
        )
    });
    numbers.collect()
}

/// `{"status": ..., "checks": [...]}`.
pub(crate) fn json(findings: &[Finding]) -> serde_json::Value {
    json!({ "status": worst(findings), "checks": findings })
}

type Labels = Vec<(String, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Gauges: for each finding `trunkline_check_status` (0 to 3, as the exit codes), and each number under its own name
/// with its unit.
pub(crate) fn prometheus(findings: &[Finding]) -> anyhow::Result<String> {
    let mut registry = Registry::with_prefix("trunkline");
    let statuses = Gauges::default();
    registry.register(
        "check_status",
        "0 ok, 1 warning, 2 critical, 3 unknown",
        statuses.clone(),
    );
    let mut gauges: BTreeMap<String, (Check, Gauges)> = BTreeMap::new();
    for finding in findings {
        let of = ("of".to_owned(), finding.of.clone());
        let check = ("check".to_owned(), finding.check.word().to_owned());
        statuses
            .get_or_create(&vec![check, of.clone()])
            .set(f64::from(finding.status.code()));
        for number in &finding.numbers {
            let unit = match number.unit {
                Unit::Seconds => "_seconds",
                Unit::Bytes => "_bytes",
                Unit::Count => "",
            };
            let name = format!("{}{unit}", number.name);
            let (_, family) = gauges
                .entry(name)
                .or_insert_with(|| (finding.check, Gauges::default()));
            family.get_or_create(&vec![of.clone()]).set(number.value);
        }
    }
    for (name, (check, family)) in gauges {
        registry.register(name, format!("of check {}", check.word()), family);
    }
    let mut text = String::new();
    encode(&mut text, &registry).context("writing metrics")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Limits;
    use super::*;

    fn two() -> Vec<Finding> {
        vec![
            Finding::measured(
                Check::Ticker,
                "db/q".into(),
                1.5,
                Limits::new(10.0, 20.0),
                "last tick 1.50 s ago".into(),
            ),
            Finding::measured(
                Check::Size,
                "db/a|'b\n".into(),
                3000.0,
                Limits::new(1000.0, 9000.0),
                "2 kB".into(),
            ),
        ]
    }

    #[test]
    fn nagios_reads_one_line_with_numbers_then_the_worst_first() {
        let expected = "TRUNKLINE WARNING - size db/a\u{a6}'b\\n: 2 kB | 'tick_age db/q'=1.5s;10;20 \
                        'queue_size db/a\u{a6}_b\\n'=3000B;1000;9000\n\
                        WARNING size db/a\u{a6}'b\\n: 2 kB\n\
                        OK ticker db/q: last tick 1.50 s ago\n";
        assert_eq!(text(&two()), expected);
        assert_eq!(text(&[]), "TRUNKLINE UNKNOWN - there is nothing to check\n");
    }

    #[test]
    fn prometheus_reads_gauges_with_units() {
        let text = prometheus(&two()).unwrap();
        for line in [
            "trunkline_check_status{check=\"ticker\",of=\"db/q\"} 0",
            "trunkline_check_status{check=\"size\",of=\"db/a|'b\\n\"} 1",
            "trunkline_tick_age_seconds{of=\"db/q\"} 1.5",
            "trunkline_queue_size_bytes{of=\"db/a|'b\\n\"} 3000",
            "# TYPE trunkline_tick_age_seconds gauge",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
