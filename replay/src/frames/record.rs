//! Records, of which the body of a segment consists: a kind, a length, and as many bytes.

use std::io::{self, Read, Write};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of a frame begins: a [`Header`](super::frame::Header).
    Frame,
    /// Events: rows of binary COPY without its header and its end mark.
    Events,
    /// The tables of a queue by their oids in the one before: [`Heirs`](super::frame::Heirs).
    Heirs,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Frame => b'F',
            Kind::Events => b'E',
            Kind::Heirs => b'H',
        }
    }

    fn of(byte: u8) -> Option<Kind> {
        match byte {
            b'F' => Some(Kind::Frame),
            b'E' => Some(Kind::Events),
            b'H' => Some(Kind::Heirs),
            _ => None,
        }
    }
}

/// Writes a record; gives the number of bytes.
///
/// # Errors
/// Those of the writer; and a payload that is longer than a length can say.
pub fn write(to: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(payload.len())
        .map_err(|_| io::Error::other("a record of 4 GB or more cannot be written"))?;
    to.write_all(&[kind.byte()])?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(payload)?;
    Ok(1 + 4 + u64::from(length))
}

/// Reads the next record; None: the body ends.
///
/// # Errors
/// Those of the reader; [`io::ErrorKind::InvalidData`] for a kind that this version does not know, and
/// [`io::ErrorKind::UnexpectedEof`] for a record that is cut off.
pub fn read(from: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut kind = [0];
    if from.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let Some(kind) = Kind::of(kind[0]) else {
        let text = format!("a record has the unknown kind {}", kind[0].escape_ascii());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    };
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length));
    // The vector grows with what really comes: a wrong length takes no memory.
    let mut payload = Vec::new();
    if from.take(length).read_to_end(&mut payload)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, payload)))
}
