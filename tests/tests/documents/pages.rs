//! The files of the repository: its Markdown pages, and its sources.

use std::path::{Path, PathBuf};

/// Pages of the manual that end a replication, or begin with another program's: each is played on servers of its own.
pub(crate) const PLAYED_ALONE: [&str; 4] = [
    "docs/cut-over.md",
    "docs/managed.md",
    "docs/moving-from-londiste.md",
    "docs/moving-from-others.md",
];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A file: its path below the root, and its text.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every Markdown file that git knows, or would take.
pub(crate) fn all() -> Vec<Page> {
    with_extension("md")
}

/// Every file with this extension that git knows, or would take, in the order of their paths.
pub(crate) fn with_extension(extension: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    collect(&root(), extension, &mut pages);
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

fn collect(folder: &Path, extension: &str, pages: &mut Vec<Page>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap();
        if entry.file_type().unwrap().is_dir() {
            // What is built, git's own files, and what the fuzzer keeps.
            if name != "target" && !name.starts_with('.') {
                collect(&path, extension, pages);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            let below = path.strip_prefix(root()).unwrap();
            pages.push(Page {
                path: below.to_str().unwrap().to_owned(),
                text: std::fs::read_to_string(&path).unwrap(),
            });
        }
    }
}
