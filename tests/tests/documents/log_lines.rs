//! Each message that a program logs at INFO, WARN or ERROR has a line in docs/log-lines.md.

use std::collections::{BTreeMap, BTreeSet};

use crate::pages;

/// The page.
const PAGE: &str = "docs/log-lines.md";

/// The packages whose code logs.
const PACKAGES: [&str; 4] = ["admin", "replay", "sql", "ticker"];

/// Messages, each with the levels that it is logged at.
type Messages = BTreeMap<String, BTreeSet<&'static str>>;

/// What begins a call that logs, and at which levels.
const CALLS: [(&str, &[&str]); 5] = [
    ("info!(", &["INFO"]),
    ("warn!(", &["WARN"]),
    ("error!(", &["ERROR"]),
    // A message whose level depends on the error.
    ("log_database(", &["WARN", "ERROR"]),
    ("Tries::new(", &["WARN", "ERROR"]),
];

/// The last string literal among the arguments of a call, from behind its `(` on; not one of a call
/// within.
fn message(arguments: &str) -> Option<String> {
    let mut depth = 1;
    let mut last = None;
    let mut chars = arguments.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 1 => return last,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let end = loop {
                    match chars.next()? {
                        (_, '\\') => drop(chars.next()?),
                        (end, '"') => break end,
                        _ => {}
                    }
                };
                if depth == 1 {
                    last = Some(arguments[at + 1..end].to_owned());
                }
            }
            _ => {}
        }
    }
    None
}

/// Adds what a source file logs.
fn collect_file(text: &str, found: &mut Messages) {
    for (call, levels) in CALLS {
        for (at, _) in text.match_indices(call) {
            let before = text[..at].chars().next_back();
            let is_other_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if is_other_name || text[..at].ends_with("fn ") {
                continue;
            }
            match message(&text[at + call.len()..]) {
                // The one that log_database hands on.
                Some(message) if message == "{message}" => {}
                Some(message) => found.entry(message).or_default().extend(levels),
                None => {}
            }
        }
    }
}

/// What the page has: `| LEVEL, LEVEL | \`message\` | meaning | what to do |`.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(pages::root().join(PAGE)).unwrap();
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [levels, message, meaning, ..] = cells.as_slice() else {
            continue;
        };
        if let Some(message) = message.strip_prefix('`') {
            let levels = levels.trim_start_matches("| ").split(", ");
            assert!(!meaning.trim().is_empty(), "{message}: no meaning");
            documented
                .entry(message.trim_end_matches('`').to_owned())
                .or_default()
                .extend(levels.map(str::to_owned));
        }
    }
    documented
}

#[test]
fn every_log_line_is_in_the_manual() {
    let mut logged = Messages::new();
    for source in pages::with_extension("rs") {
        let package = source.path.split('/').next().unwrap();
        if PACKAGES.contains(&package) {
            collect_file(&source.text, &mut logged);
        }
    }
    assert!(logged.len() > 50, "{logged:?}");
    let documented = documented();
    let mut wrong = Vec::new();
    for (message, levels) in &logged {
        let levels: BTreeSet<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        match documented.get(message) {
            None => wrong.push(format!("{message:?} ({levels:?}) has no line")),
            Some(said) if *said != levels => {
                wrong.push(format!("{message:?} is logged at {levels:?}, not {said:?}"));
            }
            Some(_) => {}
        }
    }
    let gone = documented
        .keys()
        .filter(|message| !logged.contains_key(*message));
    wrong.extend(gone.map(|message| format!("{message:?} is logged nowhere")));
    assert!(
        wrong.is_empty(),
        "{PAGE} has a line for each message at INFO, WARN and ERROR, with what it means and what to \
         do; please put right:\n{}",
        wrong.join("\n")
    );
}
