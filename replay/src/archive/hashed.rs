//! A reader or a writer that hashes and counts what goes through.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::frames::segment::hex;

/// What goes through is hashed, and counted.
pub(crate) struct Hashed<T> {
    through: T,
    hash: Sha256,
    bytes: u64,
}

/// The hash and the number of the bytes that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The SHA-256, in hexadecimal digits.
    pub sha: String,
    /// The number of bytes.
    pub bytes: u64,
}

impl<T> Hashed<T> {
    /// Nothing has gone through.
    pub(crate) fn new(through: T) -> Hashed<T> {
        Hashed {
            through,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The reader or writer, and what went through.
    pub(crate) fn finish(self) -> (T, Seen) {
        let seen = Seen {
            sha: hex(&self.hash.finalize()),
            bytes: self.bytes,
        };
        (self.through, seen)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.through.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.through.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.through.flush()
    }
}
