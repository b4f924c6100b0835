//! Files that a daemon writes: its log and its pid file. Other users may be able to make files in the directory, so
//! that a name may be theirs: a link to a file that only we may write, a pipe that nobody reads, or a file that they
//! own.
//!
//! Trusted are root, who can do everything anyway, and the user that this process runs as.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Uid, User, geteuid};

use crate::config::DaemonConfig;
use crate::exit::{Exit, Failure};

/// Permission bits of a directory that we make.
const DIRECTORY_MODE: u32 = 0o755;

/// Opens a plain file by its own name: no link is followed, no pipe waited for.
///
/// Errors: those of the system, one that says what the name is instead, and one for a file that every user can write.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options
        .custom_flags(OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(explained)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is not a plain file"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(io::Error::other("can be written by every user"));
    }
    Ok(file)
}

/// The kernel's error about a name that we do not open, in words.
fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => io::Error::other("is a symbolic link, which is not followed"),
        // The name is a pipe that nobody reads, or a socket.
        Some(Errno::ENXIO) => io::Error::other("is not a plain file"),
        Some(_) | None => error,
    }
}

/// Refuses an open file that another user may have put there. Where others can make files in the directory, the file
/// must belong to this user or root, and have no other name.
pub(crate) fn refuse_of_others(path: &Path, file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !others_may_write(directory(path))? {
        return Ok(());
    }
    if !is_trusted(metadata.uid()) {
        return Err(io::Error::other(format!(
            "belongs to user {}, in a directory where others than user {} can make files",
            user_name(metadata.uid()),
            user_name(geteuid().as_raw())
        )));
    }
    // Our own file with a second name: a user who can write the directory linked it here.
    if metadata.nlink() > 1 {
        return Err(io::Error::other(
            "has another name (a hard link), in a directory where others can make files",
        ));
    }
    Ok(())
}

/// Refuses a directory in which others can remove files that are not theirs.
pub(crate) fn refuse_open_directory(path: &Path) -> io::Result<()> {
    let directory = directory(path);
    let mode = fs::metadata(directory)?.mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(io::Error::other(format!(
            "every user can remove files of the directory {} (mode {:04o})",
            directory.display(),
            mode & 0o7777
        )));
    }
    Ok(())
}

/// Whether users other than root and this user can make files in a directory.
fn others_may_write(directory: &Path) -> io::Result<bool> {
    let metadata: Metadata = fs::metadata(directory)?;
    Ok(!is_trusted(metadata.uid()) || metadata.mode() & 0o022 != 0)
}

/// Whether a user is root or the user of this process.
pub fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// A user's name, or his number if he has no name.
pub(crate) fn user_name(user: u32) -> String {
    match User::from_uid(Uid::from_raw(user)) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => user.to_string(),
    }
}

/// Makes the missing directories of pid file and log. The directory above must exist.
///
/// Errors: [`Exit::Failed`], with the command that makes them.
pub(crate) fn make_directories(config: &DaemonConfig) -> Result<(), Failure> {
    let mut missing: Vec<(&Path, io::Error)> = Vec::new();
    for file in [Some(&config.pidfile), config.logfile.as_ref()] {
        let Some(directory) = file.map(|file| directory(file)) else {
            continue;
        };
        if missing.iter().any(|(there, _)| *there == directory) {
            continue;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Ok(()) => {}
            // Something has the directory's name; opening the file tells what is wrong with it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) if directory.exists() => {}
            Err(error) => missing.push((directory, error)),
        }
    }
    let Some((first, error)) = missing.first() else {
        return Ok(());
    };
    let user = user_name(geteuid().as_raw());
    let all: Vec<String> = missing
        .iter()
        .map(|(directory, _)| directory.display().to_string())
        .collect();
    let text = format!(
        "the directory {} does not exist and cannot be made: {error}",
        first.display()
    );
    Err(Failure::message(Exit::Failed, text).with_hint(format!(
        "run as root: install -d -o {user} {}",
        all.join(" ")
    )))
}

/// The directory of a daemon's file, which the config names by an absolute path.
fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
