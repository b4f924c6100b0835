//! Who opens what is sealed.

use std::{
    fmt, fs,
    io::{self, BufReader, Read},
    path::Path,
    sync::Arc,
};

use age::{DecryptError, Decryptor, Identity, stream::StreamReader, x25519};

use super::Closed;

/// A file of identities is shorter than this.
const LONGEST: u64 = 1 << 20;

/// The identities that open what is sealed; none: what is sealed stays closed.
#[derive(Clone, Default)]
pub(crate) struct Identities(Arc<[x25519::Identity]>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} identities", self.0.len())
    }
}

impl Identities {
    /// Reads a file of identities, as `age-keygen` writes them: one a line, and remarks.
    ///
    /// # Errors
    /// It cannot be read, or has something else, which the error does not repeat.
    pub(crate) fn read(file: &Path) -> io::Result<Identities> {
        let named = |error: io::Error| {
            let kind = error.kind();
            io::Error::new(
                kind,
                format!("the identities of {}: {error}", file.display()),
            )
        };
        let read = || {
            let mut text = String::new();
            fs::File::open(file)?
                .take(LONGEST)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        let text: String = read().map_err(named)?;
        Identities::of(&text).map_err(named)
    }

    fn of(text: &str) -> io::Result<Identities> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE") {
            let why = "the file is itself encrypted: open it first, age -d FILE | replay ... --identity /dev/stdin";
            return Err(wrong(why.into()));
        }
        let mut identities: Vec<x25519::Identity> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = line.parse();
            identities.push(identity.map_err(|why: &str| {
                wrong(format!(
                    "line {number} is no identity (AGE-SECRET-KEY-1...): {why}"
                ))
            })?);
        }
        match identities.is_empty() {
            true => Err(wrong(
                "the file has no identity (AGE-SECRET-KEY-1...)".into(),
            )),
            false => Ok(Identities(identities.into())),
        }
    }

    /// Whether there is none.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what is sealed to these public keys is opened; what is not sealed is open.
    ///
    /// # Errors
    /// It is not, as [`super::is_closed`] knows.
    pub(crate) fn fit(&self, sealed: &[String]) -> io::Result<()> {
        let fits = |one: &x25519::Identity| sealed.contains(&one.to_public().to_string());
        match sealed.is_empty() || self.0.iter().any(fits) {
            true => Ok(()),
            false => Err(self.closed(sealed)),
        }
    }

    /// A reader of what is sealed to these public keys; none: it is not sealed.
    ///
    /// # Errors
    /// No identity opens it, as [`super::is_closed`] knows; or it is not what was written; or it cannot be read.
    pub(crate) fn open<R: Read>(&self, sealed: &[String], from: R) -> io::Result<Opening<R>> {
        if sealed.is_empty() {
            return Ok(Opening::Plain(from));
        }
        self.fit(sealed)?;
        let identities = self.0.iter().map(|one| one as &dyn Identity);
        let opened = Decryptor::new_buffered(BufReader::new(from));
        let opened = opened.and_then(|opened| opened.decrypt(identities));
        match opened {
            Ok(opened) => Ok(Opening::Sealed(opened)),
            Err(DecryptError::Io(error)) => Err(error),
            Err(other) => {
                let why = format!("its encryption cannot be opened: {other}");
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }

    fn closed(&self, sealed: &[String]) -> io::Error {
        match self.are_none() {
            true => Closed::of(sealed, Closed::NO_IDENTITY),
            false => Closed::of(sealed, Closed::NOT_OURS),
        }
    }
}

/// What was sealed, opened.
pub(crate) enum Opening<R> {
    /// It was not sealed.
    Plain(R),
    /// It was.
    Sealed(StreamReader<BufReader<R>>),
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Opening::Plain(from) => from.read(bytes),
            Opening::Sealed(from) => from.read(bytes),
        }
    }
}
