//! What stands for encryption in a program that was built without it: whoever asks for it is told, and nothing is
//! written in the clear that was to be sealed.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use super::Closed;

fn unsupported(what: &str) -> io::Error {
    let why = format!(
        "{what}, and this replay was built without encryption (cargo feature seal): the package trunkline has it"
    );
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// The public keys to whose owners is sealed: none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipients;

impl Recipients {
    /// Refuses public keys.
    ///
    /// # Errors
    /// There is one.
    pub(crate) fn read(keys: &[String]) -> io::Result<Recipients> {
        match keys {
            [] => Ok(Recipients),
            [_, ..] => Err(unsupported("encrypt_to is set")),
        }
    }

    /// Whether nothing is sealed.
    pub(crate) fn are_none(&self) -> bool {
        true
    }

    /// The public keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// A writer that seals nothing.
    ///
    /// # Errors
    /// None.
    pub(crate) fn seal<W: Write>(&self, to: W) -> io::Result<Sealing<W>> {
        Ok(Sealing(to))
    }

    /// Bytes as they are stored.
    ///
    /// # Errors
    /// None.
    pub(crate) fn sealed(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(bytes)
    }
}

/// What goes through is not sealed.
pub(crate) struct Sealing<W: Write>(W);

impl<W: Write> Sealing<W> {
    /// The writer behind it.
    ///
    /// # Errors
    /// None.
    pub(crate) fn finish(self) -> io::Result<W> {
        Ok(self.0)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The identities that open what is sealed: none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities(());

impl Identities {
    /// Refuses a file of identities.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn read(file: &Path) -> io::Result<Identities> {
        Err(unsupported(&format!(
            "an identity is given, {}",
            file.display()
        )))
    }

    /// Whether there is none.
    pub(crate) fn are_none(&self) -> bool {
        true
    }

    /// Whether what is sealed to these public keys is opened; what is not sealed is open.
    ///
    /// # Errors
    /// It is sealed.
    pub(crate) fn fit(&self, sealed: &[String]) -> io::Result<()> {
        match sealed {
            [] => Ok(()),
            [_, ..] => Err(Closed::of(sealed, Closed::WITHOUT)),
        }
    }

    /// A reader of what is not sealed.
    ///
    /// # Errors
    /// It is sealed.
    pub(crate) fn open<R: Read>(&self, sealed: &[String], from: R) -> io::Result<Opening<R>> {
        self.fit(sealed)?;
        Ok(Opening(from))
    }
}

/// What was not sealed.
pub(crate) struct Opening<R>(R);

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}
