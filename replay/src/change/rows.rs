//! What an event says of rows, and where each row stands in the event's buffer. Pure.

use bytes::Bytes;

/// What a block of rows says about each of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The key was new: the row now is as given.
    Inserted,
    /// A row had the key: it now is as given.
    Updated,
    /// A row had the key: none has it now.
    Deleted,
    /// The row now is as given; nothing is known of before.
    Live,
    /// No row has the key now; nothing is known of before.
    Gone,
    /// The row, which stands for a key, is there once more.
    More,
    /// The row, which stands for a key, is there once less.
    Less,
}

impl Said {
    /// The word that an operator reads.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Said::Inserted => "insert",
            Said::Updated => "update",
            Said::Deleted => "delete",
            Said::Live => "live",
            Said::Gone => "gone",
            Said::More => "plus",
            Said::Less => "minus",
        }
    }
}

/// A piece of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The piece from `start` on; none beyond 4 GB, which is four times what a value of
    /// PostgreSQL's can hold.
    pub(crate) fn new(start: usize, len: usize) -> Option<Span> {
        start
            .checked_add(len)
            .filter(|end| u32::try_from(*end).is_ok())?;
        Some(Span {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }

    /// The piece where the buffer stands behind so many other bytes.
    pub(crate) fn behind(self, bytes: u32) -> Span {
        Span {
            start: self.start.saturating_add(bytes),
            ..self
        }
    }

    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// Its bytes.
    pub(crate) fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.range()).unwrap_or_default()
    }

    pub(crate) fn slice(self, buffer: &Bytes) -> Bytes {
        buffer.slice(self.range())
    }
}

/// A row's places in its block's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowAt {
    /// Its key, as record text without the outer parentheses.
    pub key: Span,
    /// The row as such text; none where the event gives keys alone, and where the whole row
    /// stands for a key.
    pub row: Option<Span>,
}
