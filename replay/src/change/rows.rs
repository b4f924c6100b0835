//! What an event says of rows, and the place of each row in the event's buffer. Pure.

use bytes::Bytes;

/// What a block of rows says about each of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// No row had the key before; now a row has it, as given.
    Inserted,
    /// A row had the key before; now the row is as given.
    Updated,
    /// A row had the key before; now no row has it.
    Deleted,
    /// The row is now as given; whether a row had the key before is not known.
    Live,
    /// No row has the key now; whether a row had it before is not known.
    Gone,
    /// The table has one more of the row, which itself stands for a key.
    More,
    /// The table has one less of the row, which itself stands for a key.
    Less,
}

impl Said {
    /// What is said of the row's state alone, without what was there before. A sum says nothing of a state, and stays
    /// what it is.
    pub(crate) fn as_state(self) -> Said {
        match self {
            Said::Inserted | Said::Updated | Said::Live => Said::Live,
            Said::Deleted | Said::Gone => Said::Gone,
            Said::More => Said::More,
            Said::Less => Said::Less,
        }
    }

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

/// A piece of a buffer, as start and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// The piece from `start` on; none beyond 4 GB, which is four times the largest value of PostgreSQL.
    pub(crate) fn new(start: usize, len: usize) -> Option<Span> {
        start
            .checked_add(len)
            .filter(|end| u32::try_from(*end).is_ok())?;
        Some(Span {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }

    /// The same piece, if its buffer is appended to so many other bytes.
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

    /// The piece's bytes.
    pub(crate) fn of(self, buffer: &[u8]) -> &[u8] {
        // A piece lies in the buffer that it was made for.
        buffer.get(self.range()).unwrap_or_default()
    }

    pub(crate) fn slice(self, buffer: &Bytes) -> Bytes {
        buffer.slice(self.range())
    }
}

/// The places of a row and its key in their block's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowAt {
    /// The row's key, as record text without the outer parentheses.
    pub key: Span,
    /// The row as record text; none if the event gives keys alone, or if the whole row stands for a key.
    pub row: Option<Span>,
}
