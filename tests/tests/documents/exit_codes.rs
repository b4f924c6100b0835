//! The exit codes of the manual are those of the programs.

use std::collections::BTreeMap;

use crate::pages;

/// Each variant of the enum `Exit`, by its number, with its doc comment.
fn coded(source: &str) -> BTreeMap<String, String> {
    let (_, of_enum) = source.split_once("pub enum Exit {").unwrap();
    let (of_enum, _) = of_enum.split_once("\n}").unwrap();
    let mut codes = BTreeMap::new();
    let mut doc = String::new();
    for line in of_enum.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            doc = text.to_owned();
        } else if let Some((_, number)) = line.trim_end_matches(',').split_once(" = ") {
            codes.insert(number.to_owned(), std::mem::take(&mut doc));
        }
    }
    codes
}

#[test]
fn the_manual_has_each_exit_code_as_the_programs_mean_it() {
    let read = |path| std::fs::read_to_string(pages::root().join(path)).unwrap();
    let page = read("docs/exit-codes.md");
    // The first table; the second is of `trunkline check`.
    let (first, _) = page
        .split_once("`trunkline check` and `trunkline doctor` end as Nagios wants it:")
        .unwrap();
    let documented: BTreeMap<String, String> = first
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            match cells.as_slice() {
                ["", code, meaning, ..] if code.parse::<u8>().is_ok() => {
                    Some(((*code).to_owned(), (*meaning).to_owned()))
                }
                _ => None,
            }
        })
        .collect();
    let coded = coded(&read("admin/src/exit.rs"));
    assert_eq!(coded.len(), 6, "{coded:?}");
    assert_eq!(documented, coded, "docs/exit-codes.md, admin/src/exit.rs");
}
