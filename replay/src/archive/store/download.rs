//! An object that is read piece by piece, the next piece while the one before is used.

use std::{
    io::{self, Read},
    sync::mpsc,
};

use bytes::Bytes;
use object_store::ObjectStoreExt as _;

use super::{
    answer,
    bucket::{self, Bucket},
    client,
};

/// The size of a piece. Two are in memory.
const PIECE: u64 = 4 << 20;

/// An object that is read.
pub(crate) struct Download {
    bucket: Bucket,
    path: String,
    size: u64,
    /// The object as it was when it was opened.
    etag: Option<String>,
    piece: Bytes,
    /// Where the piece that comes next begins.
    next: u64,
    coming: Option<mpsc::Receiver<io::Result<Bytes>>>,
    /// The error that reading has ended with: who reads on must not take it for the object's end.
    failed: Option<io::Error>,
}

impl Download {
    /// Opens an object.
    pub(super) fn open(bucket: Bucket, path: &str) -> io::Result<Download> {
        let meta = bucket.ask(path, |store, at| async move { store.head(&at).await })?;
        let mut download = Download {
            bucket,
            path: path.to_owned(),
            size: meta.size,
            etag: meta.e_tag,
            piece: Bytes::new(),
            next: 0,
            coming: None,
            failed: None,
        };
        download.ask()?;
        Ok(download)
    }

    /// Asks for the next piece.
    fn ask(&mut self) -> io::Result<()> {
        if self.next >= self.size {
            return Ok(());
        }
        let wanted = self.next..self.size.min(self.next + PIECE);
        let count = wanted.end - wanted.start;
        self.next = wanted.end;
        let (bucket, path, etag) = (self.bucket.clone(), self.path.clone(), self.etag.clone());
        let (found, coming) = mpsc::sync_channel(1);
        self.coming = Some(coming);
        client::spawn(async move {
            let (store, at) = (bucket.client(), bucket.object(&path));
            let read = bucket::range(&*store, &at, wanted, etag).await;
            let read = match read {
                Ok((bytes, _)) if bytes.len() as u64 == count => Ok(bytes),
                Ok((bytes, _)) => {
                    let what = format!("{} bytes came in place of {count}", bytes.len());
                    Err(answer::refused(&bucket.named(&path), &what))
                }
                Err(error) => Err(answer::failed(&bucket.named(&path), &error)),
            };
            let _ = found.send(read);
        })
    }
}

impl Download {
    /// Takes the piece that comes next, and asks for the one behind it.
    fn take(&mut self, coming: &mpsc::Receiver<io::Result<Bytes>>) -> io::Result<()> {
        let broken = |_| answer::refused(&self.path, "the work on an object store broke off");
        self.piece = coming.recv().map_err(broken)??;
        self.ask()
    }
}

impl Read for Download {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(answer::again(error));
        }
        if self.piece.is_empty() {
            let Some(coming) = self.coming.take() else {
                return Ok(0);
            };
            if let Err(error) = self.take(&coming) {
                let told = answer::again(&error);
                self.failed = Some(error);
                return Err(told);
            }
        }
        let count = bytes.len().min(self.piece.len());
        bytes[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
