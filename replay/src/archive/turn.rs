//! The right to remove something of an archive, or to say that it stays: one process has it at a time.

use std::io;

use super::{
    identity,
    store::{Lock, Store},
};

/// The right; it ends when this is dropped.
pub(crate) struct Turn {
    _lock: Lock,
}

impl Turn {
    /// Takes the right of an archive; none: another process has it.
    pub(crate) fn take(store: &Store) -> io::Result<Option<Turn>> {
        let lock = store.lock(identity::FILE)?;
        Ok(lock.map(|lock| Turn { _lock: lock }))
    }
}
