//! A config file as text, and everything that is wrong with it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sql::small_file;

/// Largest config file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that is wrong with a config file, one problem a line in [`fmt::Display`]:
/// `etc/replay.toml:12: [replay] loop_delay: -1 is out of range (0.001 s to 1 hour)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file, as it was named.
    pub file: PathBuf,
    /// In the order of their lines.
    pub problems: Vec<Problem>,
}

/// One problem of a config file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, counted from 1; None if the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong and what is allowed, values of secrets left out.
    pub text: String,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let file = self.file.display();
            match problem.line {
                Some(line) => write!(f, "{file}:{line}: {}", problem.text)?,
                None => write!(f, "{file}: {}", problem.text)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// What to do where the file is not there at all.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let missing = fs::symlink_metadata(&self.file)
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        missing.then_some(
            "name the config file with -c FILE or in $TRUNKLINE_CONFIG; \
             samples are in etc/ of the source, in /usr/share/doc/trunkline/examples of the package",
        )
    }
}

/// The text of a config file: a plain file of at most 1 MB, UTF-8, a byte order mark dropped.
/// The second value is the file's permission bits. A file that every user can write is refused: who can write it
/// chooses which files and databases the daemon writes with its rights.
pub(super) fn read(path: &Path) -> Result<(String, u32), ConfigErrors> {
    let refuse = |line, text: String| ConfigErrors {
        file: path.to_owned(),
        problems: vec![Problem { line, text }],
    };
    let (bytes, metadata) =
        small_file::read(path, MAX_FILE_BYTES).map_err(|error| refuse(None, error.to_string()))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let text = format!("can be written by every user (mode {mode:04o}); chmod o-w");
        return Err(refuse(None, text));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(good);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        refuse(Some(line), "is not UTF-8 text".into())
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok((text, mode))
}

/// Reads an environment variable.
pub(super) fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same path, from the root on.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
