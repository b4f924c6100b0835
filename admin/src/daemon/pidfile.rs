//! The pid file: its lock says that a daemon runs, its text says which process. The lock ends with the process, however
//! the process ends, so a file left behind by `kill -9` means nothing.
//!
//! Everybody who can make files in the pid file's directory can make the pid file, lock it and name any process in it,
//! for root to kill. So the file's text is believed only if the file's owner could end the named process himself, and
//! if that process has this very file open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;

use crate::config::DaemonConfig;
use crate::exit::{Exit, Failure};
use crate::own_file::{self, is_trusted, user_name};

/// How often a locked file is tried: its daemon may be just ending, or another command may hold the lock to look.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(30);

/// A pid file that this process has locked.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Makes or opens the file and locks it. A symbolic link is never followed: another user who can make a link must
    /// not choose which file is truncated. A file that another user made is refused, locked or not.
    pub(super) fn lock(path: &Path) -> Result<PidFile, Failure> {
        for attempt in 0..LOCK_ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(LOCK_PAUSE);
            }
            let file = open(path, true)
                .and_then(|file| own_file::refuse_of_others(path, &file).map(|()| file))
                .map_err(|error| unusable(path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
            }
            // The process that had the lock before may have removed the file between our open and our lock; then our
            // lock is on a file that no other process will find.
            if is_same_file(&file, path) {
                return Ok(PidFile {
                    path: path.to_owned(),
                    file,
                });
            }
        }
        // The process that holds the lock may not have written its id yet.
        let named = open(path, false).ok().and_then(|file| read_pid(&file));
        let pid = named.map_or_else(String::new, |pid| format!(", pid {pid}"));
        Err(Failure::message(
            Exit::Running,
            format!("already running ({}{pid})", path.display()),
        ))
    }

    /// Writes this process's id. It is written after the fork, because a fork changes the id.
    pub(super) fn write_own_pid(&mut self) -> Result<(), Failure> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut self.file).map_err(|error| unusable(&self.path, &error))
    }

    /// Removes the file while it is still locked, so that another process's file is never removed.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Leaves the file and its lock to the child.
    pub(super) fn forget(self) {
        drop(self.file);
    }
}

/// The process that holds the pid file's lock; None: no daemon runs, whatever the file says.
///
/// Errors: the file exists and cannot be opened, or its text is not believed.
pub fn is_running(config: &DaemonConfig) -> Result<Option<Pid>, Failure> {
    let path = &config.pidfile;
    for attempt in 0..LOCK_ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(LOCK_PAUSE);
        }
        let file = match open(path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
        }
        // The file is locked, and its daemon writes the id a moment later.
        let Some(pid) = read_pid(&file) else {
            continue;
        };
        match believed(&file, pid) {
            Ok(()) => return Ok(Some(Pid::from_raw(pid))),
            // The daemon may have ended between our two looks.
            Err(_) if !is_same_file(&file, path) => {}
            Err(error) => return Err(unusable(path, &error)),
        }
    }
    Err(Failure::message(
        Exit::Failed,
        format!("{} is locked but holds no process id", path.display()),
    ))
}

fn open(path: &Path, make: bool) -> io::Result<File> {
    own_file::refuse_open_directory(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(make).create(make).truncate(false);
    own_file::open(path, options.mode(0o644))
}

/// Refuses a file whose owner may not end the process that the file names, and a process that does not have the file
/// open. Only root may see which files another user's process has open; a user who may not see that may not end the
/// process either.
fn believed(file: &File, pid: i32) -> io::Result<()> {
    let metadata = file.metadata()?;
    let owner = metadata.uid();
    let process = PathBuf::from(format!("/proc/{pid}"));
    let runs_as = fs::metadata(&process).map(|process| process.uid());
    if !is_trusted(owner) && !runs_as.is_ok_and(|user| user == owner) {
        return Err(io::Error::other(format!(
            "belongs to user {}, and process {pid} that it names does not: not believed",
            user_name(owner)
        )));
    }
    let Ok(open_files) = fs::read_dir(process.join("fd")) else {
        return Ok(());
    };
    let holds = open_files.filter_map(Result::ok).any(|open| {
        fs::metadata(open.path())
            .is_ok_and(|open| (open.dev(), open.ino()) == (metadata.dev(), metadata.ino()))
    });
    if holds {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "is locked, and not by process {pid} that it names: not believed"
    )))
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        _ => false,
    }
}

/// The number in the file, read from its begin.
fn read_pid(mut file: &File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::message(
        Exit::Failed,
        format!("pid file {}: {error}", path.display()),
    );
    if error.kind() == io::ErrorKind::PermissionDenied {
        return failure.with_hint("the user that runs the daemon must be able to write there");
    }
    failure
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pid-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_second_lock_is_refused_and_a_stale_file_is_not() {
        let path = path("lock");
        fs::write(&path, "999999\n").unwrap();
        let mut first = PidFile::lock(&path).unwrap();
        first.write_own_pid().unwrap();
        assert_eq!(PidFile::lock(&path).unwrap_err().exit, Exit::Running);
        let named = read_pid(&open(&path, false).unwrap());
        assert_eq!(named, i32::try_from(std::process::id()).ok());
        first.remove();
        assert!(!path.exists());
        PidFile::lock(&path).unwrap().remove();
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let (link, target) = (path("link"), path("target"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        let failure = PidFile::lock(&link).unwrap_err();
        assert!(failure.error.to_string().contains("symbolic link"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        fs::remove_file(&link).unwrap();
        fs::remove_file(&target).unwrap();
    }

    #[test]
    fn a_file_that_every_user_can_write_is_refused() {
        let path = path("writable");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(PidFile::lock(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
