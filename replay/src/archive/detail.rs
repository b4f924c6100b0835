//! What the manifest of an encrypted base leaves out, written and read.

use std::io::{self, Read as _, Write as _};

use zstd::stream::{read::Decoder, write::Encoder};

use super::{
    hashed::Hashed,
    seal::Recipients,
    store::{Create, Store},
};
use crate::frames::{
    detail::{BadDetail, Detail},
    manifest::{DETAIL, LONGEST, Manifest, Object},
    segment::sha,
};

/// Level 3 gains 2 % for half as much CPU again.
const LEVEL: i32 = 1;

/// Writes what a base's manifest leaves out where the base is encrypted, and gives the manifest without it.
pub(crate) fn leave_out(
    store: &Store,
    recipients: &Recipients,
    mut manifest: Manifest,
) -> io::Result<Manifest> {
    if recipients.are_none() {
        return Ok(manifest);
    }
    let detail = Detail::take(&mut manifest);
    let text = serde_json::to_vec(&detail).map_err(io::Error::other)?;
    let mut packing = Encoder::new(Vec::new(), LEVEL)?;
    packing.write_all(&text)?;
    let bytes = recipients.sealed(packing.finish()?)?;
    let path = manifest.base.path(DETAIL);
    if store.create(&path, &[&bytes])? == Create::Exists {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    let object = Object {
        path: DETAIL.into(),
        bytes: bytes.len() as u64,
        sha: sha(&bytes),
    };
    Ok(manifest.left(recipients.keys(), object))
}

/// Why what a manifest leaves out cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The object cannot be read or opened.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is another one.
    #[error("it is not what was written: its size or its hash is another one")]
    Changed,
    /// It is not what this version knows.
    #[error(transparent)]
    Bad(#[from] BadDetail),
}

/// The manifest with what it leaves out.
///
/// # Errors
/// It cannot be read, or no identity opens it.
pub(crate) fn whole(store: &Store, manifest: &Manifest) -> Result<Manifest, Unreadable> {
    let mut whole = manifest.clone();
    let Some(object) = &manifest.detail else {
        return Ok(whole);
    };
    store.identities().fit(&manifest.sealed)?;
    let mut file = Hashed::new(store.open_object(&manifest.base.path(DETAIL))?);
    let mut text = Vec::new();
    let read = store
        .identities()
        .open(&manifest.sealed, &mut file)
        .and_then(Decoder::new)
        .and_then(|unpacked| unpacked.take(LONGEST).read_to_end(&mut text));
    io::copy(&mut file, &mut io::sink())?;
    let seen = file.finish().1;
    if seen.bytes != object.bytes || seen.sha != object.sha {
        return Err(Unreadable::Changed);
    }
    read?;
    Detail::read(&text)?.put(&mut whole)?;
    Ok(whole)
}
