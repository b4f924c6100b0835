//! Rows of PostgreSQL's binary COPY, cut out of a stream of chunks as these come. Pure.
//!
//! Source: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format". The driver reads such rows from a
//! connection only; a reader that gets events from elsewhere reads them with this module, too.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The number in place of a count of fields after the last row, and in place of a length for null.
const NONE: i64 = -1;

/// Why bytes are no binary COPY of rows of so many fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTuple {
    /// The first bytes are not those of binary COPY.
    #[error("it does not begin as binary COPY does")]
    Signature,
    /// The header has flags or an extension, which no server writes.
    #[error("its header has flags or an extension")]
    Header,
    /// A row has another number of fields than was asked for.
    #[error("a row has {found} fields in place of {wanted}")]
    Fields {
        /// The number of the row's fields.
        found: i64,
        /// The number of fields that was asked for.
        wanted: usize,
    },
    /// A field's length is below that of null.
    #[error("a field has {0} bytes")]
    Length(i64),
    /// A field is no 64-bit integer.
    #[error("field {0} is no 64-bit integer")]
    NoInteger(usize),
    /// Bytes follow the end.
    #[error("bytes follow its end")]
    Beyond,
    /// The stream ended without the end of the rows.
    #[error("it ends in the middle")]
    CutOff,
}

/// A row of N fields, as the server sent them.
#[derive(Clone, Debug)]
pub struct Tuple<const N: usize> {
    row: Bytes,
    fields: [Option<Range<usize>>; N],
}

impl<const N: usize> Tuple<N> {
    /// The bytes of a field, by its place from 0 on; none for null.
    pub fn field(&self, place: usize) -> Option<&[u8]> {
        let range = self.fields.get(place)?.clone()?;
        self.row.get(range)
    }

    /// How many bytes the row takes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a row has a count of fields at least"
    )]
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// The row's first fields as a row of their own, as the server would have sent it.
    pub fn first(&self, fields: i16) -> Vec<u8> {
        let count = size_of::<i16>();
        let wanted = usize::try_from(fields).unwrap_or_default().min(N);
        let ends = self.fields[wanted..].iter();
        // Each field after these has four bytes of length, and its bytes.
        let rest: usize = ends
            .map(|range| size_of::<i32>() + range.as_ref().map_or(0, ExactSizeIterator::len))
            .sum();
        let mut row = fields.to_be_bytes().to_vec();
        row.extend_from_slice(&self.row[count..self.row.len() - rest]);
        row
    }

    /// A field of type `bigint`.
    ///
    /// # Errors
    /// [`BadTuple::NoInteger`] for null and for a field that has not 8 bytes.
    pub fn int8(&self, place: usize) -> Result<i64, BadTuple> {
        self.field(place)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i64::from_be_bytes)
            .ok_or(BadTuple::NoInteger(place))
    }
}

/// Cuts rows of N fields out of a stream, whose chunks may end anywhere.
#[derive(Debug, Default)]
pub struct Tuples<const N: usize> {
    /// The newest chunk, from its first unread byte on; empty unless `pending` is empty.
    chunk: Bytes,
    /// A row of which not all bytes have come.
    pending: BytesMut,
    stands: Stands,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    BeforeHeader,
    AmongRows,
    AtEnd,
}

impl<const N: usize> Tuples<N> {
    /// A reader of rows without the header that the server begins with, and without its end mark.
    pub fn without_header() -> Tuples<N> {
        Tuples {
            stands: Stands::AmongRows,
            ..Tuples::default()
        }
    }

    /// Whether the bytes so far end with a whole row, or with the end mark.
    pub fn is_between_rows(&self) -> bool {
        self.rest().is_empty()
    }

    /// Takes the next chunk. All rows of the chunk before must have been taken out.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() && self.pending.is_empty() {
            self.chunk = chunk;
            return;
        }
        // A chunk is mostly a row, so this is rare. The pending bytes grow without being copied for each chunk.
        self.pending.extend_from_slice(&self.chunk);
        self.pending.extend_from_slice(&chunk);
        self.chunk.clear();
    }

    /// The next row; none if not all of the row has come, or if there is no further row.
    ///
    /// # Errors
    /// [`BadTuple`]: no row that follows can be read.
    pub fn pop(&mut self) -> Result<Option<Tuple<N>>, BadTuple> {
        if self.stands == Stands::BeforeHeader {
            let Some(length) = header(self.rest())? else {
                return Ok(None);
            };
            self.take(length);
            self.stands = Stands::AmongRows;
        }
        let found = match self.stands {
            Stands::AtEnd => None,
            Stands::BeforeHeader | Stands::AmongRows => row(self.rest())?,
        };
        match found {
            Some(Row::Fields(fields, length)) => Ok(Some(Tuple {
                row: self.take(length),
                fields,
            })),
            Some(Row::End(length)) => {
                self.take(length);
                self.stands = Stands::AtEnd;
                self.pop()
            }
            None if self.stands == Stands::AtEnd && !self.rest().is_empty() => {
                Err(BadTuple::Beyond)
            }
            None => Ok(None),
        }
    }

    /// Declares the end of the stream: all rows and the end mark must have come.
    ///
    /// # Errors
    /// [`BadTuple::CutOff`] if something is missing.
    pub fn finish(&self) -> Result<(), BadTuple> {
        if self.stands == Stands::AtEnd && self.rest().is_empty() {
            Ok(())
        } else {
            Err(BadTuple::CutOff)
        }
    }

    fn rest(&self) -> &[u8] {
        if self.pending.is_empty() {
            &self.chunk
        } else {
            &self.pending
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        if self.pending.is_empty() {
            self.chunk.split_to(length)
        } else {
            self.pending.split_to(length).freeze()
        }
    }
}

/// The length of the header; none if not all of the header has come.
fn header(mut bytes: &[u8]) -> Result<Option<usize>, BadTuple> {
    let length = SIGNATURE.len() + 8;
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(BadTuple::Signature);
    }
    if bytes.len() < length {
        return Ok(None);
    }
    bytes.advance(SIGNATURE.len());
    match (bytes.get_u32(), bytes.get_u32()) {
        (0, 0) => Ok(Some(length)),
        _ => Err(BadTuple::Header),
    }
}

/// What bytes begin with, and its length.
enum Row<const N: usize> {
    Fields([Option<Range<usize>>; N], usize),
    End(usize),
}

/// The row at the beginning of bytes; none if not all of the row has come.
fn row<const N: usize>(bytes: &[u8]) -> Result<Option<Row<N>>, BadTuple> {
    let Some(count) = bytes.first_chunk() else {
        return Ok(None);
    };
    let mut at = count.len();
    let found = i64::from(i16::from_be_bytes(*count));
    if found == NONE {
        return Ok(Some(Row::End(at)));
    }
    if usize::try_from(found) != Ok(N) {
        return Err(BadTuple::Fields { found, wanted: N });
    }
    let mut fields = [const { None }; N];
    for field in &mut fields {
        let Some(length) = bytes[at..].first_chunk() else {
            return Ok(None);
        };
        at += length.len();
        let length = i64::from(i32::from_be_bytes(*length));
        if length == NONE {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| BadTuple::Length(length))?;
        let end = at.checked_add(length).ok_or(BadTuple::CutOff)?;
        if bytes.len() < end {
            return Ok(None);
        }
        *field = Some(at..end);
        at = end;
    }
    Ok(Some(Row::Fields(fields, at)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn written(rows: &[[Option<Vec<u8>>; 3]]) -> Vec<u8> {
        let mut all = SIGNATURE.to_vec();
        all.extend([0; 8]);
        for row in rows {
            all.extend(3_i16.to_be_bytes());
            for field in row {
                match field {
                    None => all.extend((-1_i32).to_be_bytes()),
                    Some(bytes) => {
                        all.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                        all.extend(bytes);
                    }
                }
            }
        }
        all.extend((-1_i16).to_be_bytes());
        all
    }

    fn read(stream: &[u8], chunk: usize) -> Result<Vec<[Option<Vec<u8>>; 3]>, BadTuple> {
        let mut tuples = Tuples::<3>::default();
        let mut rows = Vec::new();
        for chunk in stream.chunks(chunk) {
            tuples.push(Bytes::copy_from_slice(chunk));
            while let Some(tuple) = tuples.pop()? {
                rows.push([0, 1, 2].map(|place| tuple.field(place).map(<[u8]>::to_vec)));
            }
        }
        tuples.finish()?;
        Ok(rows)
    }

    proptest! {
        #[test]
        fn rows_come_back_wherever_the_chunks_end(
            rows in vec([(); 3].map(|()| proptest::option::of(vec(any::<u8>(), 0..40))), 0..8),
            chunk in 1_usize..200,
        ) {
            let stream = written(&rows);
            prop_assert_eq!(read(&stream, chunk), Ok(rows));
            for end in 0..stream.len() {
                prop_assert!(read(&stream[..end], chunk).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), chunk in 1_usize..50) {
            let _ = read(&bytes, chunk);
            let _ = read(&[&written(&[])[..19], &bytes[..]].concat(), chunk);
        }
    }

    #[test]
    fn what_is_no_binary_copy_of_these_columns_is_told_apart() {
        let good = written(&[[Some(vec![1]), None, Some(vec![])]]);
        let changed = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            read(&bad, 7)
        };
        assert_eq!(changed(0, b'Q'), Err(BadTuple::Signature));
        assert_eq!(changed(12, 1), Err(BadTuple::Header));
        let fields = BadTuple::Fields {
            found: 4,
            wanted: 3,
        };
        assert_eq!(changed(20, 4), Err(fields));
        assert_eq!(changed(21, 0x80), Err(BadTuple::Length(-2_147_483_647)));
        assert_eq!(read(&[&good[..], b"x"].concat(), 9), Err(BadTuple::Beyond));
    }

    #[test]
    fn the_first_fields_of_a_row_are_a_row() {
        let fields = [Some(vec![1, 2]), None, Some(vec![3; 300])];
        let mut tuples = Tuples::<3>::default();
        tuples.push(written(&[fields]).into());
        let tuple = tuples.pop().unwrap().unwrap();
        let mut fewer = Tuples::<2>::without_header();
        fewer.push(tuple.first(2).into());
        let row = fewer.pop().unwrap().unwrap();
        assert_eq!(row.field(0), Some(&[1, 2][..]));
        assert_eq!(row.field(1), None);
        assert!(fewer.pop().unwrap().is_none() && fewer.is_between_rows());
        assert_eq!(tuple.first(3)[..], tuple.row[..]);
    }

    #[test]
    fn an_integer_has_eight_bytes() {
        let mut tuples = Tuples::<3>::default();
        let row = [Some(7_i64.to_be_bytes().to_vec()), Some(vec![7]), None];
        tuples.push(written(&[row]).into());
        let tuple = tuples.pop().unwrap().unwrap();
        assert_eq!(tuple.int8(0), Ok(7));
        assert_eq!(tuple.int8(1), Err(BadTuple::NoInteger(1)));
        assert_eq!(tuple.int8(2), Err(BadTuple::NoInteger(2)));
    }
}
