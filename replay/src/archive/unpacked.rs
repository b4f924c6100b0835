//! The body of a segment, opened and unpacked, and compared with the hash that the segment's line has.

use std::io::{self, BufReader, Read};

use zstd::stream::read::Decoder;

use super::{
    chain::Stored,
    hashed::Hashed,
    seal::{Opening, is_closed},
    store::{Reader, Store, is_outage},
};
use crate::frames::{body::BadBody, segment::Name};

/// Reads a body to its end by `read`, and checks its hash.
///
/// # Errors
/// Those of `read`, of the directory, and a body that is not what was written. [`BadBody::Closed`]: nothing opens it,
/// and its hash is that of what was written.
pub(crate) fn checked<T>(
    store: &Store,
    name: Name,
    stored: &Stored,
    read: impl FnOnce(&mut dyn Read) -> Result<T, BadBody>,
) -> Result<T, BadBody> {
    let line = &stored.line;
    let mut file = Hashed::new(at_body(store, name, stored)?);
    let done = unpack(store, stored, &mut file).and_then(|mut body| read(&mut body));
    // A body that could not be read to its end now is not damaged.
    if let Err(BadBody::Record(error)) = &done
        && is_outage(error)
    {
        return done;
    }
    // The hash says more than what it leads to, so it counts first.
    io::copy(&mut file, &mut io::sink())?;
    if file.finish().1.sha != line.body_sha {
        let why = "its body is not what was written: its hash is another one";
        return Err(BadBody::Wrong(why.into()));
    }
    done
}

/// A body, opened and unpacked.
pub(crate) type Unpacked<R> = Decoder<'static, BufReader<Opening<R>>>;

/// Opens a body whose hash has been checked before.
///
/// # Errors
/// Those of the directory, and a body that nothing opens.
pub(crate) fn open(
    store: &Store,
    name: Name,
    stored: &Stored,
) -> Result<Unpacked<Reader>, BadBody> {
    unpack(store, stored, at_body(store, name, stored)?)
}

fn unpack<R: Read>(store: &Store, stored: &Stored, from: R) -> Result<Unpacked<R>, BadBody> {
    let opened = store.identities().open(&stored.line.sealed, from);
    let opened = opened.map_err(|error| match is_closed(&error) {
        true => BadBody::Closed(error.to_string()),
        false => BadBody::Record(error),
    })?;
    Ok(Decoder::new(opened)?)
}

fn at_body(store: &Store, name: Name, stored: &Stored) -> io::Result<Reader> {
    let mut file = store.open_object(&name.path())?;
    io::copy(&mut file.by_ref().take(stored.body_at), &mut io::sink())?;
    Ok(file)
}
