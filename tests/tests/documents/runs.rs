//! The kept runs of the benchmarks: what is named exists, and what exists is in the index.

use std::collections::BTreeSet;

use crate::pages;

/// The index of the kept runs.
const INDEX: &str = "benches/results/README.md";

/// Every run that a text names: a date, then `/` (or `-`, as runs were once called), then the
/// hour and minute.
fn named(text: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    let shape = "0000-00-00/0000";
    (0..bytes.len().saturating_sub(shape.len() - 1))
        .filter(|&from| {
            let digit_before = from > 0 && bytes[from - 1].is_ascii_digit();
            let after = bytes.get(from + shape.len());
            let fits = shape
                .bytes()
                .zip(&bytes[from..])
                .all(|(wanted, byte)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    b'/' => matches!(byte, b'/' | b'-'),
                    wanted => *byte == wanted,
                });
            fits && !digit_before && !after.is_some_and(u8::is_ascii_digit)
        })
        .map(|from| text[from..from + shape.len()].to_owned())
        .collect()
}

/// Every run that is kept, as `DATE/HHMM`.
fn kept() -> BTreeSet<String> {
    let results = pages::root().join("benches/results");
    let mut kept = BTreeSet::new();
    for folder in std::fs::read_dir(&results).unwrap() {
        let folder = folder.unwrap();
        let date = folder.file_name().into_string().unwrap();
        if !folder.file_type().unwrap().is_dir() {
            assert_eq!(date, "README.md", "runs are in the folder of their date");
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let extension = path.extension().unwrap().to_str().unwrap();
            assert!(["json", "txt", "svg"].contains(&extension), "{path:?}");
            kept.insert(format!("{date}/{stem}"));
        }
    }
    kept
}

#[test]
fn every_run_that_a_document_names_is_kept_and_every_kept_run_is_in_the_index() {
    let kept = kept();
    let mut wrong = Vec::new();
    for page in pages::all() {
        for run in named(&page.text) {
            if !kept.contains(&run) {
                wrong.push(format!("{} names {run}, which is not kept", page.path));
            }
        }
        if page.path == INDEX {
            let indexed: BTreeSet<String> = page
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
                .map(str::to_owned)
                .collect();
            let missing = kept.difference(&indexed);
            wrong.extend(missing.map(|run| format!("{run} has no line in {INDEX}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_run_is_recognised_by_its_name() {
    let text = "see `2026-11-22/0200`, 2026-11-21-0936.svg, 2026-11-22 0200, 2026-11-22/02001";
    let runs: Vec<String> = named(text).into_iter().collect();
    assert_eq!(runs, ["2026-11-21-0936", "2026-11-22/0200"]);
}
