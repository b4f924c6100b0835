//! The log file: renamed to `.1`, `.2`, ... when it is full, opened anew when asked to.
//!
//! We have our own code, because the crates for rotation either stop the program when a file was removed under them, or
//! lose lines in silence when the file cannot be opened. Here a failed rotation means only that the file grows past its
//! size until a rotation succeeds, and a line in the file says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::own_file;

/// Asks for the log file to be opened anew.
#[derive(Debug, Clone, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Asks for the file to be opened by its name before the next line; by then the name may belong to another file.
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
    /// The log has been told that the file cannot be opened by its name.
    told: bool,
}

impl RotatingFile {
    /// Opens or makes the file, mode 0640; lines are appended. After `max_bytes` the file becomes `.1`, and at most
    /// `kept` old files stay.
    pub(super) fn open(path: &Path, max_bytes: u64, kept: usize) -> io::Result<RotatingFile> {
        let file = open_append(path)?;
        Ok(RotatingFile {
            path: path.to_owned(),
            written: file.metadata()?.size(),
            file,
            max_bytes,
            kept,
            reopen: Reopen::default(),
            told: false,
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

    /// Where the file cannot be opened by its name, lines go on into the open file, and a line says so. That line waits
    /// in the queue behind the line that is being written.
    fn tell(&mut self, opened: io::Result<()>) {
        match opened {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                self.told = true;
                tracing::error!(
                    file = %self.path.display(),
                    %error,
                    "log file cannot be opened anew, the old one is written"
                );
            }
            Err(_) => {}
        }
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
            let reopened = self.reopen();
            self.tell(reopened);
        }
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(size) > self.max_bytes {
            let rotated = self.rotate();
            self.tell(rotated);
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
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    let file = own_file::open(path, &mut options)?;
    own_file::refuse_of_others(path, &file)?;
    Ok(file)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

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
    fn a7_a_log_is_a_plain_file_of_that_name_at_the_start_and_at_every_rotation() {
        let dir = Dir::new("own");
        let path = dir.0.join("x.log");
        let target = dir.0.join("target");
        fs::write(&target, "precious").unwrap();
        symlink(&target, &path).unwrap();
        let refused = |text: &str| {
            let error = RotatingFile::open(&path, 10, 1).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        refused("symbolic link");
        fs::remove_file(&path).unwrap();
        // Opening a dangling link would make the file that the link names.
        symlink(dir.0.join("made"), &path).unwrap();
        refused("symbolic link");
        assert!(!dir.0.join("made").exists());
        fs::remove_file(&path).unwrap();
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        refused("not a plain file");
        fs::remove_file(&path).unwrap();

        let mut log = RotatingFile::open(&path, 10, 1).unwrap();
        log.write_all(b"one\n").unwrap();
        // A link is put in the file's place while the daemon runs: reopening refuses the link.
        fs::rename(&path, dir.0.join("x.log.1")).unwrap();
        symlink(&target, &path).unwrap();
        log.reopen_handle().request();
        log.write_all(b"two\n").unwrap();
        assert_eq!(dir.read("x.log.1").as_deref(), Some("one\ntwo\n"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn a7_a_log_of_somebody_else_is_refused_where_others_can_make_files() {
        let dir = Dir::new("others");
        let path = dir.0.join("x.log");
        fs::write(&path, "").unwrap();
        fs::hard_link(&path, dir.0.join("y.log")).unwrap();
        drop(RotatingFile::open(&path, 10, 1).unwrap());
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o1777)).unwrap();
        let error = RotatingFile::open(&path, 10, 1).unwrap_err().to_string();
        assert!(error.contains("hard link"), "{error}");
        fs::remove_file(dir.0.join("y.log")).unwrap();
        drop(RotatingFile::open(&path, 10, 1).unwrap());
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let error = RotatingFile::open(&path, 10, 1).unwrap_err().to_string();
        assert!(error.contains("belongs to user nobody"), "{error}");
    }

    #[test]
    fn others_cannot_read_or_write_the_log() {
        let dir = Dir::new("mode");
        RotatingFile::open(&dir.0.join("x.log"), 4, 1).unwrap();
        let mode = fs::metadata(dir.0.join("x.log")).unwrap().mode();
        assert_eq!(mode & 0o007, 0);
    }
}
