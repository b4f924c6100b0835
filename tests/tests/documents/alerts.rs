//! docs/alerts.md speaks of each alert of the rules file, and of no other one.

use std::collections::BTreeMap;

use crate::pages;

/// The rules.
const RULES: &str = "etc/prometheus/trunkline.rules.yml";

/// The page.
const PAGE: &str = "docs/alerts.md";

/// Severity and duration of each alert of the rules.
fn of_the_rules() -> BTreeMap<String, [String; 2]> {
    let text = std::fs::read_to_string(pages::root().join(RULES)).unwrap();
    let mut alerts = BTreeMap::new();
    for rule in text.split("- alert: ").skip(1) {
        let value = |key: &str| {
            let line = rule.lines().find_map(|line| line.trim().strip_prefix(key));
            line.map(str::trim)
        };
        let name = rule.lines().next().unwrap().trim().to_owned();
        let labels = value("labels: {severity: ").unwrap();
        let severity = labels.trim_end_matches('}').to_owned();
        let duration = value("for: ").unwrap_or("at once").to_owned();
        assert!(
            alerts.insert(name.clone(), [severity, duration]).is_none(),
            "{name} is there twice"
        );
    }
    alerts
}

/// The same, of the page's table: `| [NAME](#anchor) | SEVERITY | WHEN | FOR |`.
fn of_the_page(page: &str) -> BTreeMap<String, [String; 2]> {
    let mut alerts = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, severity, _, duration, ""] = cells.as_slice() else {
            continue;
        };
        if let Some((name, _)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            alerts.insert(
                name.to_owned(),
                [severity, duration].map(|&cell| cell.to_owned()),
            );
        }
    }
    alerts
}

#[test]
fn every_alert_is_in_the_manual_with_what_to_look_at_and_what_to_do() {
    let page = std::fs::read_to_string(pages::root().join(PAGE)).unwrap();
    let rules = of_the_rules();
    assert!(rules.len() >= 12, "{rules:?}");
    assert_eq!(of_the_page(&page), rules, "{PAGE} (left) and {RULES}");
    for name in rules.keys() {
        let section = page.split("\n## ").find(|section| {
            section
                .lines()
                .next()
                .is_some_and(|heading| heading.trim() == name)
        });
        let section = section.unwrap_or_else(|| panic!("{PAGE} has no section {name}"));
        for word in ["**It means**", "**Look**", "**Do**"] {
            assert!(section.contains(word), "{PAGE}, {name}: no {word}");
        }
    }
}
