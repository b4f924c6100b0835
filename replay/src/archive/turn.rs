//! The right to remove something of an archive, or to say that it stays: one process has it at a time.

use std::{
    fs::{File, TryLockError},
    io,
};

use super::{identity, store::Directory};

/// The right; it ends when this is dropped.
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Takes the right of an archive; none: another process has it.
    pub(crate) fn take(store: &Directory) -> io::Result<Option<Turn>> {
        let file = store.open(identity::FILE)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
