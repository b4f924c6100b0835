//! A directory whose files are made once, whole, under their final names, and never changed.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::create::Create;
use crate::frames::segment::LONGEST_LINE;

/// What the name of a file begins with that is not whole yet.
const UNFINISHED: &str = ".unfinished-";

/// From this age on an unfinished file is the rest of a process that was killed.
const LEFT: Duration = Duration::from_secs(86_400);

/// An archive's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory of an archive, which need not be there.
    pub(super) fn new(root: &Path) -> Directory {
        Directory {
            root: root.to_owned(),
        }
    }

    /// The directory's path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory, for this user alone. What is above it must be there: a disk that is not mounted would
    /// otherwise be taken for an empty archive.
    ///
    /// # Errors
    /// It cannot be made, or others may write there.
    pub(super) fn make(&self) -> io::Result<()> {
        if !self.root.exists() {
            DirBuilder::new().mode(0o700).create(&self.root)?;
            if let Some(above) = self.root.parent() {
                File::open(above)?.sync_all()?;
            }
        }
        self.is_ours()
    }

    /// Whether nobody else may write into the directory: whoever may could put a history of his own there.
    ///
    /// # Errors
    /// Others may write there, or it is not there.
    pub(super) fn is_ours(&self) -> io::Result<()> {
        if fs::metadata(&self.root)?.mode() & 0o022 != 0 {
            let text = format!("{}: others may write there", self.root.display());
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// Makes a file of these pieces, if there is none of that name. When this returns, file and name survive a power
    /// cut.
    ///
    /// # Errors
    /// Nothing of that name was made; or it was, and the answer was lost.
    pub(super) fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<Create> {
        let mut unfinished = self.begin(path)?;
        for piece in pieces {
            unfinished.write_all(piece)?;
        }
        unfinished.finish()
    }

    /// Begins a file that is written piece by piece, and has its name only when it is whole.
    pub(super) fn begin(&self, path: &str) -> io::Result<Unfinished> {
        let path = self.root.join(path);
        let directory = path.parent().unwrap_or(&self.root);
        self.make_below(directory)?;
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(directory)?;
        Ok(Unfinished { file, path })
    }

    /// Has the names in a directory and above it, up to the root, survive a power cut: a process that was killed may
    /// have made some that it has not made safe yet.
    pub(super) fn settle(&self, path: &str) -> io::Result<()> {
        for directory in Path::new(path).ancestors() {
            match File::open(self.root.join(directory)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                opened => opened?.sync_all()?,
            }
        }
        Ok(())
    }

    /// Makes the directories between the root and this one.
    fn make_below(&self, directory: &Path) -> io::Result<()> {
        if directory == self.root || directory.is_dir() {
            return Ok(());
        }
        let Some(above) = directory.parent() else {
            return Ok(());
        };
        self.make_below(above)?;
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        File::open(above)?.sync_all()
    }

    /// The names in a directory, in their order; none if the directory is missing. Files that are not whole are left
    /// out.
    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with(UNFINISHED) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// A file's first bytes, enough for the line of a segment, and the file's size.
    pub(super) fn head(&self, path: &str) -> io::Result<(Vec<u8>, u64)> {
        let file = File::open(self.root.join(path))?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(4096);
        file.take(4096).read_to_end(&mut bytes)?;
        if !bytes.contains(&b'\n') {
            let file = File::open(self.root.join(path))?;
            bytes.clear();
            file.take(LONGEST_LINE as u64).read_to_end(&mut bytes)?;
        }
        Ok((bytes, size))
    }

    /// A file's bytes; None: there is no such file.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// A file's size.
    pub(super) fn size(&self, path: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.root.join(path))?.len())
    }

    /// Whether there is a file of that name.
    pub(super) fn has(&self, path: &str) -> io::Result<bool> {
        self.root.join(path).try_exists()
    }

    /// Opens a file for reading.
    pub(super) fn open(&self, path: &str) -> io::Result<File> {
        File::open(self.root.join(path))
    }

    /// Locks a file, until what this gives is dropped; None: another process has it.
    pub(super) fn lock(&self, path: &str) -> io::Result<Option<File>> {
        let file = self.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes a file, which need not be there.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes a directory with all that is in it; it need not be there.
    pub(super) fn remove_all(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes a directory if nothing is in it.
    pub(super) fn remove_empty(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir(self.root.join(path)) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes what processes that were killed have left unfinished in a directory and above it, a day ago.
    pub(super) fn sweep(&self, path: &str) -> io::Result<()> {
        for directory in Path::new(path).ancestors() {
            self.sweep_one(directory)?;
        }
        Ok(())
    }

    fn sweep_one(&self, path: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            let written = entry.metadata()?.modified()?;
            let age = SystemTime::now().duration_since(written);
            if is_unfinished && age.is_ok_and(|age| age > LEFT) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A file that is being written, and has no name yet.
pub(crate) struct Unfinished {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl io::Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Unfinished {
    /// Gives the file its name, if there is none of that name. When this returns, file and name survive a power cut.
    pub(super) fn finish(self) -> io::Result<Create> {
        let Unfinished { file, path } = self;
        let directory = path.parent().unwrap_or(Path::new("/"));
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Ok(_) => {}
            Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
                // Who has made it may have been killed before the name was safe.
                File::open(directory)?.sync_all()?;
                return Ok(Create::Exists);
            }
            Err(failed) => return Err(failed.error),
        }
        File::open(directory)?.sync_all()?;
        Ok(Create::Made)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_is_made_once_and_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(&scratch.path().join("a"));
        directory.make().unwrap();
        let made = directory.create("x/y/f", &[b"one", b"two"]).unwrap();
        assert_eq!(made, Create::Made);
        assert_eq!(
            directory.create("x/y/f", &[b"other"]).unwrap(),
            Create::Exists
        );
        assert_eq!(directory.read("x/y/f").unwrap().unwrap(), b"onetwo");
        assert_eq!(directory.list("x/y").unwrap(), ["f"]);
        assert_eq!(directory.read("x/y/g").unwrap(), None);
    }

    #[test]
    fn what_a_killed_process_has_left_is_no_file_of_the_archive_and_goes_after_a_day() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(scratch.path());
        let left = |name: &str, age: u64| {
            let file = File::create(scratch.path().join(name)).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(written).unwrap();
        };
        fs::create_dir_all(scratch.path().join("x/y")).unwrap();
        for place in ["", "x/", "x/y/"] {
            left(&format!("{place}.unfinished-old"), 100_000);
            left(&format!("{place}.unfinished-new"), 10);
            left(&format!("{place}old"), 100_000);
        }
        directory.settle("x/y").unwrap();
        directory.settle("x/missing").unwrap();
        directory.sweep("x/y").unwrap();
        for place in ["", "x", "x/y"] {
            let there = |name: &str| scratch.path().join(place).join(name).exists();
            assert_eq!(
                [".unfinished-old", ".unfinished-new", "old"].map(there),
                [false, true, true]
            );
        }
        assert_eq!(directory.list("x/y").unwrap(), ["old"]);
    }

    #[test]
    fn a_directory_that_others_may_write_into_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(scratch.path());
        for (mode, is_ours) in [(0o700, true), (0o755, true), (0o775, false), (0o707, false)] {
            fs::set_permissions(scratch.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(directory.is_ours().is_ok(), is_ours, "{mode:o}");
            assert_eq!(directory.make().is_ok(), is_ours, "{mode:o}");
        }
    }

    #[test]
    fn a_directory_is_not_made_where_the_one_above_is_missing() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Directory::new(&scratch.path().join("not-mounted/a"));
        assert!(directory.make().is_err());
    }
}
