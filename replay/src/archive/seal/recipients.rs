//! To whom an archive is sealed.

use std::io::{self, Write};

use age::{Encryptor, Recipient, stream::StreamWriter, x25519};

/// The public keys to whose owners is sealed; none: nothing is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads public keys.
    ///
    /// # Errors
    /// One is none.
    pub(crate) fn read(keys: &[String]) -> io::Result<Recipients> {
        let read = |key: &String| {
            let wrong = |why: &str| {
                let why = format!("encrypt_to has {key:?}, which is no public key: {why}");
                io::Error::new(io::ErrorKind::InvalidInput, why)
            };
            key.parse().map_err(wrong)
        };
        Ok(Recipients(
            keys.iter().map(read).collect::<io::Result<_>>()?,
        ))
    }

    /// Whether nothing is sealed.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The public keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// A writer that seals what goes through.
    ///
    /// # Errors
    /// Those of the writer behind it.
    pub(crate) fn seal<W: Write>(&self, to: W) -> io::Result<Sealing<W>> {
        if self.are_none() {
            return Ok(Sealing::Plain(to));
        }
        let recipients = self.0.iter().map(|one| one as &dyn Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        Ok(Sealing::Sealed(encryptor.wrap_output(to)?))
    }

    /// Bytes as they are stored.
    ///
    /// # Errors
    /// None of these bytes; the encryption's type has one.
    pub(crate) fn sealed(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.are_none() {
            return Ok(bytes);
        }
        let mut sealing = self.seal(Vec::with_capacity(bytes.len() + 1024))?;
        sealing.write_all(&bytes)?;
        sealing.finish()
    }
}

/// What goes through is sealed, where it is to be.
pub(crate) enum Sealing<W: Write> {
    /// It is not to be.
    Plain(W),
    /// Sealed.
    Sealed(StreamWriter<W>),
}

impl<W: Write> Sealing<W> {
    /// Writes the end. Without it what was written is cut off.
    ///
    /// # Errors
    /// Those of the writer behind it.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Sealing::Plain(to) => Ok(to),
            Sealing::Sealed(to) => to.finish(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sealing::Plain(to) => to.write(bytes),
            Sealing::Sealed(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sealing::Plain(to) => to.flush(),
            Sealing::Sealed(to) => to.flush(),
        }
    }
}
