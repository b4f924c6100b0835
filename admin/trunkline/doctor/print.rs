//! Formats what was found, for a person or a program. Pure.

use admin::terminal::visible;
use serde_json::json;

use super::finding::{Finding, worst};
use crate::check::Level;

/// How many objects of a finding are named; JSON has all.
const NAMED: usize = 10;

/// A line a finding, the worst first, with its command below. `quiet`: only what is not in order.
pub(super) fn text(findings: &[Finding], quiet: bool) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    let mut text = String::new();
    for finding in sorted {
        if quiet && finding.status == Level::Ok {
            continue;
        }
        let Finding {
            topic,
            side,
            status,
            message,
            objects,
            fix,
        } = finding;
        let mut line = format!(
            "{} {} {}: {message}",
            status.word(),
            topic.word(),
            side.word()
        );
        if !objects.is_empty() {
            let named: Vec<&str> = objects.iter().take(NAMED).map(String::as_str).collect();
            line.push_str(&format!(": {}", named.join(", ")));
        }
        if objects.len() > NAMED {
            line.push_str(&format!(" and {} more", objects.len() - NAMED));
        }
        text.push_str(&visible(&line));
        text.push('\n');
        if let Some(fix) = fix {
            text.push_str(&format!("    {}\n", visible(fix)));
        }
    }
    text
}

/// `{"status": ..., "findings": [...]}`.
pub(super) fn json(findings: &[Finding]) -> serde_json::Value {
    json!({ "status": worst(findings), "findings": findings })
}
