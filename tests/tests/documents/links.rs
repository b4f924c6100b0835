//! Links between pages, and the width of their lines.

use std::collections::BTreeSet;

use crate::pages;

/// The longest line of a page, in characters; a line of a table may be longer.
const WIDEST: usize = 100;

/// The targets of `[text](target)` in a page.
fn targets(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split(')').next())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// The names of a page's headings, as links call them.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages::all() {
        for target in targets(&page.text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let here = pages::root().join(&page.path);
            let path = if file.is_empty() {
                here
            } else {
                here.parent().unwrap().join(file)
            };
            let there = match std::fs::read_to_string(&path) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                // A directory, or a picture.
                Err(_) => anchor.is_empty() && path.exists(),
            };
            if !there {
                wrong.push(format!("{}: {target}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

#[test]
fn the_lines_of_readme_and_manual_are_at_most_100_characters_wide() {
    let mut wide = Vec::new();
    for page in pages::all() {
        let is_narrow = page.path == "README.md" || page.path.starts_with("docs/");
        if !is_narrow {
            continue;
        }
        for (index, line) in page.text.lines().enumerate() {
            if line.chars().count() > WIDEST && !line.starts_with('|') {
                wide.push(format!("{}:{}", page.path, index + 1));
            }
        }
    }
    assert!(wide.is_empty(), "too wide:\n{}", wide.join("\n"));
}
