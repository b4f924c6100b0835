//! The log file: renamed to `.1`, `.2`, ... when it is full, opened anew when asked to.
//!
//! Our own, because the crates for it either stop the program when a file was removed under them
//! or lose lines in silence when it cannot be opened. Here a failed rotation means only that the
//! file grows past its size until one succeeds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks for the log file to be opened anew.
#[derive(Debug, Clone, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Opens the file by its name before the next line, which may be another file by then.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that keeps to a size. Each write is a whole line.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    written: u64,
    max_bytes: u64,
    kept: usize,
    reopen: Reopen,
}

impl RotatingFile {
    /// Opens or makes the file, mode 0640; lines are appended. After `max_bytes` it becomes
    /// `.1`, and at most `kept` old ones stay.
    pub(super) fn open(path: &Path, max_bytes: u64, kept: usize) -> io::Result<RotatingFile> {
        let file = open_append(path)?;
        Ok(RotatingFile {
            path: path.to_owned(),
            written: file.metadata()?.size(),
            file,
            max_bytes,
            kept,
            reopen: Reopen::default(),
        })
    }

    pub(super) fn reopen_handle(&self) -> Reopen {
        self.reopen.clone()
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = open_append(&self.path)?;
        self.written = self.file.metadata()?.size();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.kept).rev() {
            rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename_if_there(&self.path, &self.numbered(1))?;
        self.reopen()
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.reopen.0.swap(false, Ordering::Relaxed) {
            // Cannot be opened by its name: go on in the file that is open.
            let _ = self.reopen();
        }
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(size) > self.max_bytes {
            let _ = self.rotate();
        }
        self.file.write_all(line)?;
        self.written = self.written.saturating_add(size);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("log-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Dir(path)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.0.join(name)).ok()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_full_file_becomes_number_one_and_the_oldest_goes() {
        let dir = Dir::new("rotate");
        let mut log = RotatingFile::open(&dir.0.join("x.log"), 10, 2).unwrap();
        for line in [
            "one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n",
        ] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(dir.read("x.log").as_deref(), Some("six\nseven\n"));
        assert_eq!(dir.read("x.log.1").as_deref(), Some("four\nfive\n"));
        assert_eq!(dir.read("x.log.2").as_deref(), Some("three\n"));
        assert_eq!(dir.read("x.log.3"), None);
    }

    #[test]
    fn the_size_of_an_older_run_counts() {
        let dir = Dir::new("older");
        fs::write(dir.0.join("x.log"), "from before\n").unwrap();
        let mut log = RotatingFile::open(&dir.0.join("x.log"), 15, 1).unwrap();
        log.write_all(b"new line\n").unwrap();
        assert_eq!(dir.read("x.log.1").as_deref(), Some("from before\n"));
        assert_eq!(dir.read("x.log").as_deref(), Some("new line\n"));
    }

    #[test]
    fn a_log_moved_away_is_made_anew_on_request_only() {
        let dir = Dir::new("reopen");
        let mut log = RotatingFile::open(&dir.0.join("x.log"), 1000, 1).unwrap();
        log.write_all(b"a\n").unwrap();
        fs::rename(dir.0.join("x.log"), dir.0.join("moved")).unwrap();
        log.write_all(b"b\n").unwrap();
        log.reopen_handle().request();
        log.write_all(b"c\n").unwrap();
        assert_eq!(dir.read("moved").as_deref(), Some("a\nb\n"));
        assert_eq!(dir.read("x.log").as_deref(), Some("c\n"));
    }

    #[test]
    fn a_removed_directory_does_not_stop_the_log() {
        let dir = Dir::new("removed");
        let mut log = RotatingFile::open(&dir.0.join("x.log"), 4, 1).unwrap();
        fs::remove_dir_all(&dir.0).unwrap();
        log.write_all(b"a\n").unwrap();
        log.write_all(b"bcdef\n").unwrap();
    }

    #[test]
    fn others_cannot_read_or_write_the_log() {
        let dir = Dir::new("mode");
        RotatingFile::open(&dir.0.join("x.log"), 4, 1).unwrap();
        let mode = fs::metadata(dir.0.join("x.log")).unwrap().mode();
        assert_eq!(mode & 0o007, 0);
    }
}
