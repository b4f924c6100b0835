//! An object that is written piece by piece. A small one is made at once; a big one is sent in parts, and has its name
//! when the last one is there.

use std::{
    io::{self, ErrorKind, Write},
    sync::mpsc,
};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::{answer, bucket::Bucket, client, create::Create};

/// The size of a part; stores want 5 MiB at least. One is sent while the next one is filled.
const PART: usize = 6 << 20;

/// The biggest part, since two are in memory.
const BIGGEST_PART: usize = 1 << 30;

/// No store takes more parts of one object.
const PARTS: u64 = 10_000;

/// An object that is being written.
pub(crate) struct Upload {
    bucket: Bucket,
    path: String,
    /// The size of its parts: all are equal but the last one, as some stores want it.
    part: usize,
    filling: Vec<u8>,
    bytes: u64,
    parts: Option<Parts>,
}

struct Parts {
    sent: u64,
    upload: Box<dyn MultipartUpload>,
    sending: Option<mpsc::Receiver<object_store::Result<()>>>,
}

impl Upload {
    /// Nothing is written. `expected`: the bytes that may come, about.
    pub(super) fn new(bucket: Bucket, path: &str, expected: u64) -> Upload {
        Upload {
            bucket,
            path: path.to_owned(),
            part: part_size(expected),
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
            let bytes = self.part as u64;
            let upload = self
                .bucket
                .ask_for(bytes, &self.path, |store, at| async move {
                    store.put_multipart(&at).await
                })?;
            self.parts = Some(Parts {
                sent: 0,
                upload,
                sending: None,
            });
        }
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        settled(parts, &named)?;
        if parts.sent == PARTS {
            let what = format!(
                "it is bigger than {PARTS} parts of {} MiB, and a store takes no more of one object",
                self.part >> 20
            );
            return Err(answer::refused(&named, &what));
        }
        parts.sent += 1;
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
            abort(parts);
            return Err(error);
        }
        let (parts, completed) = client::wait(async move {
            let completed = parts.upload.complete().await;
            (parts, completed)
        })?;
        match completed {
            Ok(_) => Ok(Create::Made),
            // Where the answer was lost, the upload is not known any more when it is asked for again. The size tells
            // that the object is this one: nobody else writes under a base's name, and its hash is in the manifest.
            Err(_)
                if self
                    .bucket
                    .size(&self.path)
                    .is_ok_and(|size| size == self.bytes) =>
            {
                Ok(Create::Made)
            }
            Err(error) => {
                abort(parts);
                Err(answer::failed(&named, &error))
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
    sent.map_err(|error| answer::failed(named, &error))
}

/// Lets the store forget the parts. If that fails, the bucket's own rule removes them.
fn abort(mut parts: Parts) {
    // A part that comes after the store has forgotten the others would stay.
    if let Some(sending) = parts.sending.take() {
        let _ = sending.recv();
    }
    let _ = client::wait(async move { parts.upload.abort().await });
}

/// The size of the parts of an object of so many bytes, about.
fn part_size(expected: u64) -> usize {
    // Rows may have more bytes as COPY writes them than on the disk.
    let least = expected.saturating_mul(2).div_ceil(PARTS);
    let whole = least.div_ceil(1 << 20) << 20;
    usize::try_from(whole).map_or(BIGGEST_PART, |whole| whole.clamp(PART, BIGGEST_PART))
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.part - self.filling.len());
        self.filling.extend_from_slice(&bytes[..count]);
        self.bytes += count as u64;
        if self.filling.len() >= self.part {
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
            abort(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_more_parts_than_a_store_takes() {
        for gigabytes in [0, 1, 29, 58, 59, 100, 1000, 5000] {
            let bytes: u64 = gigabytes << 30;
            let part = part_size(bytes);
            assert!(
                part >= PART && part as u64 * PARTS >= 2 * bytes,
                "{gigabytes}"
            );
        }
        assert_eq!(part_size(29 << 30), PART);
        assert_eq!(part_size(u64::MAX), BIGGEST_PART);
    }
}
