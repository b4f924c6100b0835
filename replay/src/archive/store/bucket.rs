//! A place in a bucket, whose objects are made once, whole, under their final names, and never changed.

use std::{
    fmt,
    io::{self, ErrorKind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use admin::config::BucketAddress;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload,
    path::Path,
};

use super::{
    answer::{self, failed},
    client::{self, RETRY},
    create::Create,
};
use crate::frames::segment::LONGEST_LINE;

/// First bytes that are asked for: enough for nearly every line of a segment.
const HEAD: u64 = 4096;

/// First lines that are asked for at the same time.
const AT_ONCE: usize = 16;

/// The rest before an object is made again whose answer was lost; each further one is twice as long.
const FIRST_REST: Duration = Duration::from_millis(100);

/// A place in a bucket.
#[derive(Clone)]
pub(crate) struct Bucket {
    address: Arc<BucketAddress>,
    store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for Bucket {
    /// Without the client, which has the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.address)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Bucket {
    /// The place, where nothing needs to be.
    pub(super) fn open(address: &BucketAddress) -> io::Result<Bucket> {
        Ok(Bucket {
            address: Arc::new(address.clone()),
            store: client::of(address, 0)?,
        })
    }

    /// The object of a path.
    pub(super) fn object(&self, path: &str) -> Path {
        let prefix = self.address.prefix.as_str();
        Path::from(match (prefix, path) {
            ("", path) => path.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, path) => format!("{prefix}/{path}"),
        })
    }

    /// The client of the bucket.
    pub(super) fn client(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Asks the store, and waits for the answer.
    pub(super) fn ask<T, F>(
        &self,
        path: &str,
        work: impl FnOnce(Arc<dyn ObjectStore>, Path) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        self.ask_for(0, path, work)
    }

    /// Asks the store by requests of so many bytes, and waits for the answer.
    pub(super) fn ask_for<T, F>(
        &self,
        bytes: u64,
        path: &str,
        work: impl FnOnce(Arc<dyn ObjectStore>, Path) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let store = client::of(&self.address, bytes)?;
        let asked = client::wait(work(store, self.object(path)))?;
        asked.map_err(|error| failed(&self.named(path), &error))
    }

    /// An object as an error names it.
    pub(super) fn named(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// Whether the bucket is there and may be listed.
    pub(super) fn make(&self) -> io::Result<()> {
        self.list("").map(|_| ())
    }

    /// Makes an object. Where one of that name is there with the same bytes, it is ours, and its answer was lost: what
    /// two processes write under one name differs.
    pub(super) fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<Create> {
        let bytes = Bytes::from(pieces.concat());
        let began = Instant::now();
        let mut rest = FIRST_REST;
        loop {
            let error = match self.put(path, &bytes) {
                Ok(()) => return Ok(Create::Made),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::AlreadyExists {
                match self.read_for(bytes.len() as u64, path)? {
                    Some(there) if *there == *bytes => return Ok(Create::Made),
                    Some(_) => return Ok(Create::Exists),
                    // Two that are made at the same time may both be refused.
                    None => {}
                }
            } else if !answer::is_lost(&error) {
                // What the store refuses for the moment, the client has asked again.
                return Err(error);
            }
            // The answer may be lost of an object that is there.
            if began.elapsed() + rest > RETRY {
                return Err(error);
            }
            thread::sleep(rest);
            rest *= 2;
        }
    }

    /// Whether an object is refused when it is made once more, with its own bytes.
    pub(super) fn refuses_again(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        match self.put(path, &Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn put(&self, path: &str, bytes: &Bytes) -> io::Result<()> {
        let (count, bytes) = (bytes.len() as u64, PutPayload::from(bytes.clone()));
        self.ask_for(count, path, |store, at| async move {
            store.put_opts(&at, bytes, PutMode::Create.into()).await
        })?;
        Ok(())
    }

    /// The names in a directory, in their order.
    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let found = self.ask(path, |store, at| async move {
            store.list_with_delimiter(Some(&at)).await
        })?;
        let objects = found.objects.iter().map(|object| &object.location);
        let names = objects.chain(&found.common_prefixes);
        let mut names: Vec<String> = names
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// All objects in a directory, with what the store knows of them.
    pub(super) fn objects(&self, path: &str) -> io::Result<Vec<ObjectMeta>> {
        self.ask(path, |store, at| async move {
            store.list(Some(&at)).try_collect().await
        })
    }

    /// An object's first bytes, and its size.
    pub(super) fn head(&self, path: &str) -> io::Result<(Vec<u8>, u64)> {
        self.ask(path, first_bytes)
    }

    /// The first bytes of many objects, in their order.
    pub(super) fn heads(
        &self,
        paths: Vec<String>,
    ) -> impl Iterator<Item = io::Result<(Vec<u8>, u64)>> + 'static {
        let (found, taken) = mpsc::sync_channel(AT_ONCE);
        let bucket = self.clone();
        let count = paths.len();
        let asked = client::spawn(async move {
            let ask = |path: String| {
                let (named, at) = (bucket.named(&path), bucket.object(&path));
                let store = Arc::clone(&bucket.store);
                async move {
                    let read = first_bytes(store, at).await;
                    read.map_err(|error| failed(&named, &error))
                }
            };
            let mut answers = futures::stream::iter(paths).map(ask).buffered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                // The thread of this runtime must not wait for whoever takes the answers.
                let found = found.clone();
                let sent = tokio::task::spawn_blocking(move || found.send(answer).is_ok());
                if !sent.await.unwrap_or(false) {
                    return;
                }
            }
        });
        let mut asked = Some(asked);
        (0..count).map(move |_| {
            if let Some(Err(error)) = asked.take() {
                return Err(error);
            }
            let broken = |_| io::Error::other("the work on an object store broke off");
            taken.recv().map_err(broken)?
        })
    }

    /// An object's bytes; None: there is no such object.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.read_for(0, path)
    }

    fn read_for(&self, bytes: u64, path: &str) -> io::Result<Option<Vec<u8>>> {
        let read = self.ask_for(bytes, path, |store, at| async move {
            store.get(&at).await?.bytes().await
        });
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(|bytes| Some(bytes.into())),
        }
    }

    /// An object's size.
    pub(super) fn size(&self, path: &str) -> io::Result<u64> {
        let meta = self.ask(path, |store, at| async move { store.head(&at).await })?;
        Ok(meta.size)
    }

    /// Whether there is an object of that name.
    pub(super) fn has(&self, path: &str) -> io::Result<bool> {
        match self.size(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an object, which need not be there.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let removed = self.ask(path, |store, at| async move { store.delete(&at).await });
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes a directory with all that is in it.
    pub(super) fn remove_all(&self, path: &str) -> io::Result<()> {
        self.ask(path, |store, at| async move {
            let found: Vec<ObjectMeta> = store.list(Some(&at)).try_collect().await?;
            let found = found.into_iter().map(|object| Ok(object.location));
            let mut removed = store.delete_stream(futures::stream::iter(found).boxed());
            while let Some(one) = removed.next().await {
                match one {
                    Err(Error::NotFound { .. }) | Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }
}

/// First bytes of an object, enough for the line of a segment, and the object's size.
async fn first_bytes(
    store: Arc<dyn ObjectStore>,
    at: Path,
) -> object_store::Result<(Vec<u8>, u64)> {
    let (bytes, size) = range(&*store, &at, 0..HEAD, None).await?;
    if bytes.contains(&b'\n') || size <= HEAD {
        return Ok((bytes.into(), size));
    }
    let (bytes, size) = range(&*store, &at, 0..LONGEST_LINE as u64, None).await?;
    Ok((bytes.into(), size))
}

/// A piece of an object, or what there is of it, and the object's size. `etag`: only of the object as it was.
pub(super) async fn range(
    store: &dyn ObjectStore,
    at: &Path,
    range: std::ops::Range<u64>,
    etag: Option<String>,
) -> object_store::Result<(Bytes, u64)> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        if_match: etag,
        ..GetOptions::default()
    };
    match store.get_opts(at, options).await {
        Ok(found) => {
            let size = found.meta.size;
            Ok((found.bytes().await?, size))
        }
        Err(error @ (Error::NotFound { .. } | Error::PermissionDenied { .. })) => Err(error),
        // No piece of an empty object can be asked for.
        Err(error) => match store.head(at).await {
            Ok(meta) if meta.size == 0 => Ok((Bytes::new(), 0)),
            Ok(_) | Err(_) => Err(error),
        },
    }
}
