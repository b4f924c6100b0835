//! What rustfmt and clippy do not look at: how long files and their lines are, and which rooms are pure.

use crate::pages::{self, Page};
use crate::rust;

/// The longest line of a Rust source, in characters: rustfmt reaches neither comments nor strings.
const WIDEST: usize = 120;

/// The longest comment of an SQL file, in characters. A statement is as wide as the text that it makes.
const WIDEST_SQL: usize = 130;

/// The most lines of a file that is no test: one idea, which is read in one go.
const LONGEST: usize = 500;

/// Rooms that decide and do not act: neither a runtime nor a database is known there.
const PURE: [&str; 3] = [
    "replay/src/change/",
    "replay/src/fold/",
    "replay/src/table/",
];

/// Whether it is a test of the package `tests`, or of its harness.
fn is_tests(page: &Page) -> bool {
    page.path.starts_with("tests/")
}

#[test]
fn lines_of_rust_are_no_wider_than_120_characters() {
    let mut wide = Vec::new();
    for page in pages::with_extension("rs") {
        for (index, line) in page.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            // A raw string cannot be broken, and a test's statement stands on one line, as it would be typed.
            let may_be_wide = !is_comment && (is_tests(&page) || line.contains("r#\""));
            if line.chars().count() > WIDEST && !may_be_wide {
                wide.push(format!("{}:{}", page.path, index + 1));
            }
        }
    }
    assert!(wide.is_empty(), "too wide:\n{}", wide.join("\n"));
}

#[test]
fn comments_of_sql_are_no_wider_than_130_characters() {
    let mut wide = Vec::new();
    for page in pages::with_extension("sql") {
        // An upgrade step that databases have seen is never changed; a test's script shows what PgQ answers.
        if page.path.starts_with("sql/upgrade/") || is_tests(&page) {
            continue;
        }
        for (index, line) in page.text.lines().enumerate() {
            if line.trim_start().starts_with("--") && line.chars().count() > WIDEST_SQL {
                wide.push(format!("{}:{}", page.path, index + 1));
            }
        }
    }
    assert!(wide.is_empty(), "too wide:\n{}", wide.join("\n"));
}

#[test]
fn a_file_is_read_in_one_go() {
    let mut long = Vec::new();
    for extension in ["rs", "sql"] {
        for page in pages::with_extension(extension) {
            let lines = page.text.lines().count();
            if lines >= LONGEST && !is_tests(&page) {
                long.push(format!("{}: {lines} lines", page.path));
            }
        }
    }
    assert!(
        long.is_empty(),
        "{LONGEST} lines or more:\n{}",
        long.join("\n")
    );
}

#[test]
fn the_pure_rooms_know_neither_a_runtime_nor_a_database() {
    let mut wrong = Vec::new();
    for page in pages::with_extension("rs") {
        if !PURE.iter().any(|room| page.path.starts_with(room)) {
            continue;
        }
        for token in rust::tokens(&page.text) {
            if matches!(token, "tokio" | "tokio_postgres" | "async" | "await") {
                wrong.push(format!("{}: {token}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
