//! The SQL files compiled into the program, and the manifests that order them. Pure: touches no database.

use std::fmt::Write as _;

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The folder of each component, by its name; `manifest.txt` inside says the order of its files.
static COMPONENTS: [(&str, Dir<'_>); 7] = [
    ("base", include_dir!("$CARGO_MANIFEST_DIR/base")),
    ("pgq", include_dir!("$CARGO_MANIFEST_DIR/pgq")),
    ("pgq_coop", include_dir!("$CARGO_MANIFEST_DIR/pgq_coop")),
    ("pgq_ext", include_dir!("$CARGO_MANIFEST_DIR/pgq_ext")),
    ("provider", include_dir!("$CARGO_MANIFEST_DIR/provider")),
    ("subscriber", include_dir!("$CARGO_MANIFEST_DIR/subscriber")),
    ("member", include_dir!("$CARGO_MANIFEST_DIR/member")),
];
static TAKEOVER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/takeover");
static UPGRADE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/upgrade");

/// When a file of a manifest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the first install of its component only: tables, sequences, roles.
    Once,
    /// At each install whose digest differs from the recorded one: functions, grants.
    Each,
}

/// One SQL file of a component.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// When the file runs.
    pub when: When,
    /// The file's path below its component's folder, or FOLDER/FILE, for messages.
    pub path: &'static str,
    /// The file's text.
    pub sql: &'static str,
}

/// One upgrade step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The step's number, over all components.
    pub number: i32,
    /// The component that the step changes, by name.
    pub component: &'static str,
    /// The step's path below `sql/`, for messages.
    pub path: &'static str,
    /// The step's text.
    pub sql: &'static str,
}

/// The files of a component, by its name, in install order.
///
/// # Errors
/// [`Error::Manifest`] when the manifest or a file that it names is missing or malformed: the program was built wrong.
pub fn entries(component: &str) -> Result<Vec<Entry>, Error> {
    let text = read(component, "manifest.txt")
        .ok_or_else(|| Error::Manifest(format!("{component}/manifest.txt is missing")))?;
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || {
            Error::Manifest(format!(
                "{component}/manifest.txt: cannot use line '{line}'"
            ))
        };
        let (when, path) = line.split_once(char::is_whitespace).ok_or_else(bad)?;
        let when = match when {
            "once" => When::Once,
            "each" => When::Each,
            _ => return Err(bad()),
        };
        let path = path.trim();
        found.push(Entry {
            when,
            path,
            sql: read(component, path).ok_or_else(bad)?,
        });
    }
    Ok(found)
}

/// The upgrade steps of all components, in order of their numbers.
///
/// # Errors
/// [`Error::Manifest`] when a step's name or first line is malformed: the program was built wrong.
pub fn steps() -> Result<Vec<Step>, Error> {
    let mut found = Vec::new();
    for file in UPGRADE.files() {
        let path = file.path().to_str().unwrap_or_default();
        let Some(stem) = path.strip_suffix(".sql") else {
            continue;
        };
        let bad = || Error::Manifest(format!("upgrade/{path}: cannot use its name or first line"));
        let (number, _) = stem.split_once('-').ok_or_else(bad)?;
        let sql = file.contents_utf8().ok_or_else(bad)?;
        let first = sql.lines().next().unwrap_or_default();
        found.push(Step {
            number: number.parse().map_err(|_| bad())?,
            component: first
                .strip_prefix("-- component:")
                .map(str::trim)
                .ok_or_else(bad)?,
            path,
            sql,
        });
    }
    found.sort_by_key(|step| step.number);
    Ok(found)
}

/// A file of the takeover of PgQ, by its name; None: there is no such file, and nothing to do.
#[must_use]
pub fn takeover(name: &str) -> Option<&'static str> {
    TAKEOVER.get_file(name)?.contents_utf8()
}

/// SHA-256 over the paths and texts of a component's files, in lowercase hexadecimal digits.
#[must_use]
pub fn digest(entries: &[Entry]) -> String {
    let mut hash = Sha256::new();
    for entry in entries {
        hash.update(entry.path.as_bytes());
        hash.update([0]);
        hash.update(entry.sql.as_bytes());
        hash.update([0]);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A file of a component's folder, or of another one's as FOLDER/FILE.
fn read(component: &str, file: &str) -> Option<&'static str> {
    let (component, file) = file.split_once('/').unwrap_or((component, file));
    let (_, folder) = COMPONENTS.iter().find(|(name, _)| *name == component)?;
    folder.get_file(file)?.contents_utf8()
}

#[cfg(test)]
mod tests {
    use super::{COMPONENTS, digest, entries, steps};

    #[test]
    fn every_manifest_names_files_that_exist_once() {
        for (component, _) in &COMPONENTS {
            let found = entries(component).unwrap();
            let mut paths: Vec<_> = found.iter().map(|entry| entry.path).collect();
            paths.sort_unstable();
            let count = paths.len();
            paths.dedup();
            assert_eq!(paths.len(), count, "{component} names a file twice");
            assert_eq!(digest(&found).len(), 64);
        }
    }

    #[test]
    fn every_sql_file_is_in_a_manifest() {
        for (component, folder) in &COMPONENTS {
            let named = entries(component).unwrap();
            for file in folder.files() {
                let path = file.path().to_str().unwrap();
                assert!(
                    path == "manifest.txt" || named.iter().any(|entry| entry.path == path),
                    "{component}/{path} is in no manifest"
                );
            }
        }
    }

    #[test]
    fn steps_are_numbered_without_gaps() {
        for (index, step) in steps().unwrap().iter().enumerate() {
            assert_eq!(step.number as usize, index + 1, "{}", step.path);
        }
    }
}
