//! A config file as text, and everything that is wrong with it.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

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

/// One thing that is wrong.
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

/// The text of a config file: a plain file of at most 1 MB, UTF-8, a byte order mark dropped.
/// The second value is the file's permission bits.
pub(super) fn read(path: &Path) -> Result<(String, u32), ConfigErrors> {
    let refuse = |line, text: String| ConfigErrors {
        file: path.to_owned(),
        problems: vec![Problem { line, text }],
    };
    let io = |error: std::io::Error| refuse(None, error.to_string());
    // Asked before opening: opening a pipe would wait for ever.
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Err(refuse(None, "is a directory, not a config file".into()));
    }
    if !metadata.is_file() {
        return Err(refuse(None, "is not a plain file".into()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(refuse(None, "is larger than 1 MB".into()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(io)?;
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
    let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777;
    Ok((text, mode))
}
