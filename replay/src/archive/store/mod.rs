//! Where the objects of an archive lie: in a directory, or in a bucket of an object store. Each is made once, whole,
//! under its final name, and never changed.
//!
//! - `directory`: files;
//! - `bucket`: objects of a store; `client` asks it, `answer` is what an error of it tells, `download` and `upload` go
//!   piece by piece, `lease` is its lock.

#[cfg(feature = "stores")]
mod answer;
#[cfg(feature = "stores")]
mod bucket;
#[cfg(feature = "stores")]
mod client;
mod create;
mod directory;
#[cfg(feature = "stores")]
mod download;
#[cfg(feature = "stores")]
mod lease;
#[cfg(feature = "stores")]
mod upload;

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use admin::config::ArchiveAddress;

use self::directory::Directory;
#[cfg(feature = "stores")]
use self::{bucket::Bucket, download::Download, lease::Lease, upload::Upload};
use super::seal::Identities;

pub(crate) use self::create::Create;

/// The objects of an archive. Whatever this says is there survives a power cut.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    objects: Objects,
    identities: Identities,
}

/// Where the objects lie.
#[derive(Clone, Debug)]
enum Objects {
    /// Files of a directory.
    Directory(Directory),
    /// Objects of a bucket.
    #[cfg(feature = "stores")]
    Bucket(Bucket),
}

/// Calls the function of that name of a directory or a bucket.
macro_rules! either {
    ($self:expr, $store:ident => $call:expr) => {
        match &$self.objects {
            Objects::Directory($store) => $call,
            #[cfg(feature = "stores")]
            Objects::Bucket($store) => $call,
        }
    };
}

impl Store {
    /// The place of an archive, where nothing needs to be.
    ///
    /// # Errors
    /// Its options are wrong, or this program was built without object stores.
    pub(crate) fn open(address: &ArchiveAddress) -> io::Result<Store> {
        let objects = match address {
            ArchiveAddress::Directory(root) => Objects::Directory(Directory::new(root)),
            #[cfg(feature = "stores")]
            ArchiveAddress::Bucket(address) => Objects::Bucket(Bucket::open(address)?),
            #[cfg(not(feature = "stores"))]
            ArchiveAddress::Bucket(address) => {
                let why = format!("{address}: {}", without(address.kind.scheme()));
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        };
        Ok(Store {
            objects,
            identities: Identities::default(),
        })
    }

    /// The same objects, of which those that are sealed are opened by the identities in a file; None: they are not.
    ///
    /// # Errors
    /// The file cannot be read, or has no identity.
    pub(crate) fn opened_by(self, file: Option<&Path>) -> io::Result<Store> {
        Ok(Store {
            identities: file.map(Identities::read).transpose()?.unwrap_or_default(),
            ..self
        })
    }

    /// Who opens what is sealed.
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Makes the place, for this user alone. What a directory lies in must be there: a disk that is not mounted would
    /// otherwise be taken for an empty archive. A bucket must be there.
    ///
    /// # Errors
    /// It cannot be made or reached, or others may write there.
    pub(crate) fn make(&self) -> io::Result<()> {
        either!(self, store => store.make())
    }

    /// Whether nobody else may write there, as far as files tell: whoever may could put a history of his own there.
    ///
    /// # Errors
    /// Others may write there, or it is not there.
    pub(crate) fn is_ours(&self) -> io::Result<()> {
        match &self.objects {
            Objects::Directory(directory) => directory.is_ours(),
            #[cfg(feature = "stores")]
            Objects::Bucket(_) => Ok(()),
        }
    }

    /// Makes an object of these pieces, if there is none of that name.
    ///
    /// # Errors
    /// Nothing of that name was made; or it was, and the answer was lost.
    pub(crate) fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<Create> {
        either!(self, store => store.create(path, pieces))
    }

    /// Whether an object that is there is refused when it is made once more, with these bytes, which are its own. A
    /// store that does not refuse it would let two writers overwrite each other.
    pub(crate) fn refuses_again(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        match &self.objects {
            Objects::Directory(directory) => {
                Ok(directory.create(path, &[bytes])? == Create::Exists)
            }
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => bucket.refuses_again(path, bytes),
        }
    }

    /// Begins an object that is written piece by piece, and has its name only when it is whole. `expected`: the bytes
    /// that may come, about.
    #[cfg_attr(not(feature = "stores"), expect(unused_variables))]
    pub(crate) fn begin(&self, path: &str, expected: u64) -> io::Result<Unfinished> {
        match &self.objects {
            Objects::Directory(directory) => Ok(Unfinished::File(directory.begin(path)?)),
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => Ok(Unfinished::Object(Upload::new(
                bucket.clone(),
                path,
                expected,
            ))),
        }
    }

    /// Has the names in a directory and above it, up to the root, survive a power cut: a process that was killed may
    /// have made some that it has not made safe yet.
    pub(crate) fn settle(&self, path: &str) -> io::Result<()> {
        match &self.objects {
            Objects::Directory(directory) => directory.settle(path),
            #[cfg(feature = "stores")]
            Objects::Bucket(_) => Ok(()),
        }
    }

    /// The names in a directory, in their order; none if the directory is missing. Objects that are not whole are left
    /// out.
    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        either!(self, store => store.list(path))
    }

    /// An object's first bytes, enough for the line of a segment, and the object's size.
    pub(crate) fn head(&self, path: &str) -> io::Result<(Vec<u8>, u64)> {
        either!(self, store => store.head(path))
    }

    /// The first bytes of many objects, in their order, as [`Store::head`] gives them. Of a bucket several are asked
    /// for at the same time.
    pub(crate) fn heads(&self, paths: Vec<String>) -> Heads {
        match &self.objects {
            Objects::Directory(directory) => {
                let directory = directory.clone();
                Box::new(paths.into_iter().map(move |path| directory.head(&path)))
            }
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => Box::new(bucket.heads(paths)),
        }
    }

    /// An object's bytes; None: there is no such object.
    pub(crate) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        either!(self, store => store.read(path))
    }

    /// An object's size.
    pub(crate) fn size(&self, path: &str) -> io::Result<u64> {
        either!(self, store => store.size(path))
    }

    /// Whether there is an object of that name.
    pub(crate) fn has(&self, path: &str) -> io::Result<bool> {
        either!(self, store => store.has(path))
    }

    /// Opens an object for reading.
    pub(crate) fn open_object(&self, path: &str) -> io::Result<Reader> {
        match &self.objects {
            Objects::Directory(directory) => Ok(Reader::File(directory.open(path)?)),
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => Ok(Reader::Object(Download::open(bucket.clone(), path)?)),
        }
    }

    /// Takes a lock of the archive, until what this gives is dropped; None: another process has it. `path` is an object
    /// that is there.
    pub(crate) fn lock(&self, path: &str) -> io::Result<Option<Lock>> {
        match &self.objects {
            Objects::Directory(directory) => Ok(directory.lock(path)?.map(Lock::File)),
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => Ok(Lease::take(bucket)?.map(Lock::Object)),
        }
    }

    /// Removes an object, which need not be there.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        either!(self, store => store.remove(path))
    }

    /// Removes a directory with all that is in it; it need not be there.
    pub(crate) fn remove_all(&self, path: &str) -> io::Result<()> {
        either!(self, store => store.remove_all(path))
    }

    /// Removes a directory if nothing is in it.
    pub(crate) fn remove_empty(&self, path: &str) -> io::Result<()> {
        match &self.objects {
            Objects::Directory(directory) => directory.remove_empty(path),
            // A bucket has no directories of its own.
            #[cfg(feature = "stores")]
            Objects::Bucket(_) => Ok(()),
        }
    }

    /// Removes what processes that were killed have left unfinished in a directory and above it, a day ago.
    pub(crate) fn sweep(&self, path: &str) -> io::Result<()> {
        match &self.objects {
            Objects::Directory(directory) => directory.sweep(path),
            // The pieces of an upload that was not finished are no object, and the bucket's own rule removes them.
            #[cfg(feature = "stores")]
            Objects::Bucket(_) => Ok(()),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.objects {
            Objects::Directory(directory) => directory.root().display().fmt(f),
            #[cfg(feature = "stores")]
            Objects::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// First bytes and sizes of objects.
pub(crate) type Heads = Box<dyn Iterator<Item = io::Result<(Vec<u8>, u64)>>>;

/// Whether an error says that the place cannot be reached or used now, rather than that bytes are not as they should
/// be.
pub(crate) fn is_outage(error: &io::Error) -> bool {
    #[cfg(feature = "stores")]
    if answer::is_answer(error) {
        return true;
    }
    error.raw_os_error().is_some()
}

/// Whether an error is one of the whole store, so that nothing else can be asked of it either. A disk gives errors for
/// one file.
#[cfg_attr(not(feature = "stores"), expect(unused_variables))]
pub(crate) fn is_away(error: &io::Error) -> bool {
    #[cfg(feature = "stores")]
    if answer::is_answer(error) {
        return error.kind() != io::ErrorKind::NotFound;
    }
    false
}

/// Whether an error says that the config asks for what this program cannot do.
pub(crate) fn is_config(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::InvalidInput];
    error.raw_os_error().is_none() && kinds.contains(&error.kind())
}

/// Says what a program without object stores cannot read.
#[cfg(not(feature = "stores"))]
fn without(scheme: &str) -> String {
    format!(
        "{scheme}... is an object store, and this replay was built without them (cargo feature stores): the package \
         trunkline has them"
    )
}

/// An object that is read.
pub(crate) enum Reader {
    /// A file.
    File(File),
    /// An object of a bucket.
    #[cfg(feature = "stores")]
    Object(Download),
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::File(file) => file.read(bytes),
            #[cfg(feature = "stores")]
            Reader::Object(object) => object.read(bytes),
        }
    }
}

/// An object that is being written, and has no name yet.
pub(crate) enum Unfinished {
    /// A file.
    File(directory::Unfinished),
    /// An object of a bucket.
    #[cfg(feature = "stores")]
    Object(Upload),
}

impl Unfinished {
    /// Gives the object its name, if there is none of that name. When this returns, it survives a power cut.
    pub(crate) fn finish(self) -> io::Result<Create> {
        match self {
            Unfinished::File(file) => file.finish(),
            #[cfg(feature = "stores")]
            Unfinished::Object(object) => object.finish(),
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Unfinished::File(file) => file.write(bytes),
            #[cfg(feature = "stores")]
            Unfinished::Object(object) => object.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Unfinished::File(file) => file.flush(),
            #[cfg(feature = "stores")]
            Unfinished::Object(object) => object.flush(),
        }
    }
}

/// A lock that is held.
pub(crate) enum Lock {
    /// Of a file.
    File(#[expect(dead_code, reason = "it is held, and ends with this")] File),
    /// Of a bucket.
    #[cfg(feature = "stores")]
    Object(#[expect(dead_code, reason = "it is held, and ends with this")] Lease),
}
