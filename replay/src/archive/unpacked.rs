//! The body of a segment, unpacked, and compared with the hash that the segment's line has.

use std::io::{self, BufReader, Read};

use zstd::stream::read::Decoder;

use super::{
    chain::Stored,
    hashed::Hashed,
    store::{Reader, Store, is_outage},
};
use crate::frames::{body::BadBody, segment::Name};

/// Reads a body to its end by `read`, and checks its hash.
///
/// # Errors
/// Those of `read`, of the directory, and a body that is not what was written.
pub(crate) fn checked<T>(
    store: &Store,
    name: Name,
    stored: &Stored,
    read: impl FnOnce(&mut dyn Read) -> Result<T, BadBody>,
) -> Result<T, BadBody> {
    let line = &stored.line;
    is_readable(stored)?;
    let mut file = Hashed::new(at_body(store, name, stored)?);
    let done = read(&mut Decoder::new(&mut file)?);
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

/// Opens a body whose hash has been checked before.
///
/// # Errors
/// Those of the directory, and a body that this version cannot read.
pub(crate) fn open(
    store: &Store,
    name: Name,
    stored: &Stored,
) -> Result<Decoder<'static, BufReader<Reader>>, BadBody> {
    is_readable(stored)?;
    Ok(Decoder::new(at_body(store, name, stored)?)?)
}

fn is_readable(stored: &Stored) -> Result<(), BadBody> {
    if stored.line.sealed.is_empty() {
        return Ok(());
    }
    let why = "its body is encrypted, which this version cannot read";
    Err(BadBody::Wrong(why.into()))
}

fn at_body(store: &Store, name: Name, stored: &Stored) -> io::Result<Reader> {
    let mut file = store.open_object(&name.path())?;
    io::copy(&mut file.by_ref().take(stored.body_at), &mut io::sink())?;
    Ok(file)
}
