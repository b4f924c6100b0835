//! An object that is read piece by piece, the next piece while the one before is used.

use std::{
    io::{self, Read},
    sync::mpsc,
};

use bytes::Bytes;
use object_store::ObjectStoreExt as _;

use super::{
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
                    Err(client::refused(&bucket.named(&path), &what))
                }
                Err(error) => Err(client::failed(&bucket.named(&path), &error)),
            };
            let _ = found.send(read);
        })
    }
}

impl Read for Download {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let Some(coming) = self.coming.take() else {
                return Ok(0);
            };
            let broken = |_| io::Error::other("the work on an object store broke off");
            self.piece = coming.recv().map_err(broken)??;
            self.ask()?;
        }
        let count = bytes.len().min(self.piece.len());
        bytes[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
