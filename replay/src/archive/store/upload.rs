//! An object that is written piece by piece. A small one is made at once; a big one is sent in parts, and has its name
//! when the last one is there.

use std::{
    io::{self, ErrorKind, Write},
    sync::mpsc,
};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::{bucket::Bucket, client, create::Create};

/// The size of a part; stores want 5 MiB at least. One is sent while the next one is filled.
const PART: usize = 6 << 20;

/// An object that is being written.
pub(crate) struct Upload {
    bucket: Bucket,
    path: String,
    filling: Vec<u8>,
    bytes: u64,
    parts: Option<Parts>,
}

struct Parts {
    upload: Box<dyn MultipartUpload>,
    sending: Option<mpsc::Receiver<object_store::Result<()>>>,
}

impl Upload {
    /// Nothing is written.
    pub(super) fn new(bucket: Bucket, path: &str) -> Upload {
        Upload {
            bucket,
            path: path.to_owned(),
            filling: Vec::new(),
            bytes: 0,
            parts: None,
        }
    }

    /// Sends what is filled, once the part before is there.
    fn send(&mut self) -> io::Result<()> {
        let named = self.bucket.named(&self.path);
        if self.parts.is_none() {
            if self.bucket.has(&self.path)? {
                let text = format!("{named}: it is there already");
                return Err(io::Error::new(ErrorKind::AlreadyExists, text));
            }
            let upload = self.bucket.ask(&self.path, |store, at| async move {
                store.put_multipart(&at).await
            })?;
            self.parts = Some(Parts {
                upload,
                sending: None,
            });
        }
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        settled(parts, &named)?;
        let part = PutPayload::from(Bytes::from(std::mem::take(&mut self.filling)));
        let sending = parts.upload.put_part(part);
        let (done, taken) = mpsc::sync_channel(1);
        client::spawn(async move {
            let _ = done.send(sending.await);
        })?;
        parts.sending = Some(taken);
        Ok(())
    }

    /// Gives the object its name, if there is none of that name.
    pub(super) fn finish(mut self) -> io::Result<Create> {
        if self.parts.is_none() {
            return self.bucket.create(&self.path, &[&self.filling]);
        }
        if !self.filling.is_empty() {
            self.send()?;
        }
        let named = self.bucket.named(&self.path);
        let Some(mut parts) = self.parts.take() else {
            return Ok(Create::Made);
        };
        let settled = settled(&mut parts, &named);
        if let Err(error) = settled {
            abort(parts.upload);
            return Err(error);
        }
        let mut upload = parts.upload;
        let (upload, completed) = client::wait(async move {
            let completed = upload.complete().await;
            (upload, completed)
        })?;
        match completed {
            Ok(_) => Ok(Create::Made),
            // Where the answer was lost, the upload is not known any more when it is asked for again.
            Err(_)
                if self
                    .bucket
                    .size(&self.path)
                    .is_ok_and(|size| size == self.bytes) =>
            {
                Ok(Create::Made)
            }
            Err(error) => {
                abort(upload);
                Err(client::failed(&named, &error))
            }
        }
    }
}

/// Waits for the part that is being sent.
fn settled(parts: &mut Parts, named: &str) -> io::Result<()> {
    let Some(sending) = parts.sending.take() else {
        return Ok(());
    };
    let broken = |_| io::Error::other("the work on an object store broke off");
    let sent = sending.recv().map_err(broken)?;
    sent.map_err(|error| client::failed(named, &error))
}

/// Lets the store forget the parts. If that fails, the bucket's own rule removes them.
fn abort(mut upload: Box<dyn MultipartUpload>) {
    let _ = client::wait(async move { upload.abort().await });
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PART - self.filling.len());
        self.filling.extend_from_slice(&bytes[..count]);
        self.bytes += count as u64;
        if self.filling.len() >= PART {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            abort(parts.upload);
        }
    }
}
