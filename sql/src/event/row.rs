//! Rows of an event: finds rows in a block and fields in a row without copying, and writes them as COPY text. Pure.
//!
//! A block is rows joined by line feeds, each as PostgreSQL writes a record: `(1,"a b",,"")`. A field that is
//! empty is NULL; one with quotes around it holds any bytes, `"` and `\` doubled; line feeds stand in quotes only.
//! Source: `sql/FORMAT.md`.

use std::borrow::Cow;

use bytes::BytesMut;
use memchr::{memchr, memchr2};

/// A block that is not what capture writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the block: {why}")]
pub struct BadBlock {
    /// The offset in bytes from the block's begin.
    pub offset: usize,
    why: &'static str,
}

/// The rows of a block, each checked to have `columns` fields, without their outer parentheses.
pub fn rows(block: &[u8], columns: usize) -> Rows<'_> {
    Rows {
        block,
        columns,
        at: Some(0),
    }
}

/// The iterator of [`rows`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    block: &'a [u8],
    columns: usize,
    at: Option<usize>,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<&'a [u8], BadBlock>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.take()?;
        Some(self.row(start))
    }
}

impl<'a> Rows<'a> {
    fn row(&mut self, start: usize) -> Result<&'a [u8], BadBlock> {
        let bad = |offset, why| BadBlock { offset, why };
        let inner = start + 1;
        if self.block.get(start) != Some(&b'(') {
            return Err(bad(start, "a row must begin with a parenthesis"));
        }
        let mut fields = 1;
        let mut at = inner;
        loop {
            at += plain_run(self.block.get(at..).unwrap_or_default());
            match self.block.get(at) {
                Some(b',') => {
                    fields += 1;
                    at += 1;
                }
                Some(b'"') => {
                    if at > inner && self.block.get(at - 1) != Some(&b',') {
                        return Err(bad(at, "a double quote must begin a field"));
                    }
                    at = closing_quote(self.block, at)
                        .ok_or_else(|| bad(at, "a double quote is not closed"))?;
                    if !matches!(self.block.get(at), None | Some(b',' | b')')) {
                        return Err(bad(at, "a field must end with its double quote"));
                    }
                }
                Some(b')') => break,
                Some(_) => {
                    return Err(bad(
                        at,
                        "white space or a backslash must stand in double quotes",
                    ));
                }
                None => return Err(bad(at, "the row does not end")),
            }
        }
        let row = self.block.get(inner..at).unwrap_or_default();
        if fields != self.columns && !(self.columns == 0 && row.is_empty()) {
            return Err(bad(
                start,
                "the row has another number of fields than its shape has columns",
            ));
        }
        self.at = match self.block.get(at + 1) {
            None => None,
            Some(b'\n') => Some(at + 2),
            Some(_) => return Err(bad(at + 1, "a line feed must follow a row")),
        };
        Ok(row)
    }
}

/// One value of a row that is not NULL, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a>(&'a [u8]);

impl<'a> Field<'a> {
    /// The value's text, as the type's output function gave it.
    pub fn unescape(self) -> Cow<'a, [u8]> {
        match self.quoted() {
            None => Cow::Borrowed(self.0),
            Some(inner) if memchr2(b'"', b'\\', inner).is_none() => Cow::Borrowed(inner),
            Some(inner) => {
                let mut value = Vec::with_capacity(inner.len());
                for piece in pieces(inner) {
                    value.extend_from_slice(piece);
                }
                Cow::Owned(value)
            }
        }
    }

    /// The field as it stands in the row, with its quotes.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    fn quoted(self) -> Option<&'a [u8]> {
        self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }
}

/// The fields of a row that [`rows`] gave; NULL is none. A row of no columns and a row of one NULL are the
/// same text; this gives one field.
pub fn fields(row: &[u8]) -> Fields<'_> {
    Fields { row, at: Some(0) }
}

/// The iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    row: &'a [u8],
    at: Option<usize>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.take()?;
        let end = field_end(self.row, start);
        if end < self.row.len() {
            self.at = Some(end + 1);
        }
        let raw = self.row.get(start..end).unwrap_or_default();
        Some((!raw.is_empty()).then_some(Field(raw)))
    }
}

/// The given fields of a row, in the given order, as the text of a row: a key for example. Borrowed where the
/// fields stand side by side. A place that the row does not have counts as NULL.
pub fn project<'a>(row: &'a [u8], places: &[usize]) -> Cow<'a, [u8]> {
    let consecutive = places
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if *b == a + 1));
    if let (true, Some(&first), count @ 1..) = (consecutive, places.first(), places.len()) {
        let mut start = 0;
        for _ in 0..first {
            start = field_end(row, start) + 1;
        }
        let mut end = field_end(row, start);
        for _ in 1..count {
            end = field_end(row, end + 1);
        }
        return Cow::Borrowed(row.get(start..end).unwrap_or_default());
    }
    let all: Vec<&[u8]> = fields(row)
        .map(|field| field.map_or(&b""[..], Field::raw))
        .collect();
    let wanted: Vec<&[u8]> = places
        .iter()
        .map(|&place| all.get(place).copied().unwrap_or_default())
        .collect();
    Cow::Owned(wanted.join(&b','))
}

/// Appends the given fields of a row, in the given order, as one line of COPY's text format. A place that the
/// row does not have is written as NULL.
pub fn to_copy_text(row: &[u8], places: &[usize], out: &mut BytesMut) {
    out.reserve(row.len() + places.len() + 16);
    if places.is_sorted_by(|a, b| a < b) {
        let mut wanted = places.iter().copied();
        let mut next = wanted.next();
        let mut first = true;
        let mut at = 0;
        let mut place = 0;
        while let Some(want) = next {
            if at > row.len() {
                separate(&mut first, out);
                out.extend_from_slice(b"\\N");
                next = wanted.next();
                continue;
            }
            let end = field_end(row, at);
            if place == want {
                separate(&mut first, out);
                copy_field(row.get(at..end).unwrap_or_default(), out);
                next = wanted.next();
            }
            place += 1;
            at = end + 1;
        }
    } else {
        let all: Vec<&[u8]> = fields(row)
            .map(|field| field.map_or(&b""[..], Field::raw))
            .collect();
        let mut first = true;
        for &place in places {
            separate(&mut first, out);
            copy_field(all.get(place).copied().unwrap_or_default(), out);
        }
    }
    out.extend_from_slice(b"\n");
}

fn separate(first: &mut bool, out: &mut BytesMut) {
    if !std::mem::take(first) {
        out.extend_from_slice(b"\t");
    }
}

/// One field as COPY text: NULL is `\N`; backslash, tab, line feed and carriage return are escaped.
fn copy_field(raw: &[u8], out: &mut BytesMut) {
    if raw.is_empty() {
        out.extend_from_slice(b"\\N");
        return;
    }
    let Some(inner) = Field(raw).quoted() else {
        // A field without quotes holds no white space and no backslash.
        out.extend_from_slice(raw);
        return;
    };
    let mut rest = inner;
    loop {
        let run = plain_copy_run(rest);
        let (plain, special) = rest.split_at(run);
        out.extend_from_slice(plain);
        let Some(&byte) = special.first() else { return };
        // A doubled character stands for one; COPY wants it doubled if it is a backslash.
        let (text, length): (&[u8], usize) = match byte {
            b'"' => (b"\"", 2),
            b'\\' => (b"\\\\", 2),
            b'\t' => (b"\\t", 1),
            b'\n' => (b"\\n", 1),
            _ => (b"\\r", 1),
        };
        out.extend_from_slice(text);
        rest = special.get(length..).unwrap_or_default();
    }
}

/// The text between doubled characters: each `""` and `\\` gives one of the two.
fn pieces(inner: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = inner;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = memchr2(b'"', b'\\', rest) else {
            return Some(std::mem::take(&mut rest));
        };
        let (piece, _) = rest.split_at(at + 1);
        rest = rest.get(at + 2..).unwrap_or_default();
        Some(piece)
    })
}

/// Where the field that begins at `start` ends: at a comma, or at the row's end.
fn field_end(row: &[u8], start: usize) -> usize {
    let mut at = start;
    if row.get(at) == Some(&b'"') {
        at = closing_quote(row, at).unwrap_or(row.len());
    }
    // Most fields are short: a plain loop finds their end sooner than a search made for long texts.
    let rest = row.get(at..).unwrap_or_default();
    match rest.iter().position(|&byte| byte == b',') {
        Some(more) => at + more,
        None => row.len().max(start),
    }
}

/// The place behind the quote that closes the one at `open`.
fn closing_quote(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr(b'"', text.get(at..)?)? + 1;
        if text.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

const fn table(stops: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < stops.len() {
        table[stops[i] as usize] = true;
        i += 1;
    }
    table
}

// A tab or a carriage return would pass into COPY as it is, and end a field or a line in COPY's text.
static ROW_STOPS: [bool; 256] = table(b",\")(\n\r\t\\");
static COPY_STOPS: [bool; 256] = table(b"\"\\\t\n\r");

/// How many bytes from the begin have no meaning in a row.
fn plain_run(text: &[u8]) -> usize {
    text.iter()
        .position(|&byte| ROW_STOPS[usize::from(byte)])
        .unwrap_or(text.len())
}

/// How many bytes from the begin of a quoted field COPY takes as they are.
fn plain_copy_run(text: &[u8]) -> usize {
    text.iter()
        .position(|&byte| COPY_STOPS[usize::from(byte)])
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A row as PostgreSQL's record output writes it.
    fn encode(values: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut row = vec![b'('];
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                row.push(b',');
            }
            let Some(value) = value else { continue };
            let quoted = value.is_empty()
                || value.iter().any(|b| {
                    matches!(b, b'"' | b'\\' | b'(' | b')' | b',')
                        || b.is_ascii_whitespace()
                        || *b == 11
                });
            if quoted {
                row.push(b'"');
            }
            for &byte in value {
                if matches!(byte, b'"' | b'\\') {
                    row.push(byte);
                }
                row.push(byte);
            }
            if quoted {
                row.push(b'"');
            }
        }
        row.push(b')');
        row
    }

    /// A value as COPY's text format reads it.
    fn read_copy(line: &[u8]) -> Vec<Option<Vec<u8>>> {
        line.split(|&byte| byte == b'\t')
            .map(|field| {
                if field == b"\\N" {
                    return None;
                }
                let mut value = Vec::new();
                let mut bytes = field.iter();
                while let Some(&byte) = bytes.next() {
                    value.push(match byte {
                        b'\\' => match bytes.next().unwrap() {
                            b't' => b'\t',
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b'\\' => b'\\',
                            other => panic!("escape {other}"),
                        },
                        byte => byte,
                    });
                }
                Some(value)
            })
            .collect()
    }

    fn values() -> impl Strategy<Value = Vec<Vec<Option<Vec<u8>>>>> {
        let byte = prop_oneof![
            4 => prop::sample::select(b"\"\\(),\n\r\t ab\0N.".to_vec()),
            1 => any::<u8>()
        ];
        let value = prop::option::of(prop::collection::vec(byte, 0..8));
        (1..6usize).prop_flat_map(move |columns| {
            prop::collection::vec(prop::collection::vec(value.clone(), columns), 1..6)
        })
    }

    #[test]
    fn white_space_without_quotes_is_no_row_for_copy_would_take_it_for_its_own() {
        for block in ["(5\r)", "(5\t6)", "(5\n6)"] {
            assert!(
                rows(block.as_bytes(), 1).all(|row| row.is_err()),
                "{block:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(rows_in in values()) {
            let columns = rows_in[0].len();
            let encoded: Vec<Vec<u8>> = rows_in.iter().map(|row| encode(row)).collect();
            let block = encoded.join(&b'\n');
            let found: Vec<&[u8]> = rows(&block, columns).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(found.len(), rows_in.len());
            for (row, expected) in found.iter().zip(&rows_in) {
                let values: Vec<Option<Vec<u8>>> =
                    fields(row).map(|f| f.map(|f| f.unescape().into_owned())).collect();
                prop_assert_eq!(&values, expected);
                for places in [(0..columns).collect::<Vec<_>>(), (0..columns).rev().collect()] {
                    let mut out = BytesMut::new();
                    to_copy_text(row, &places, &mut out);
                    let wanted: Vec<_> = places.iter().map(|&p| expected[p].clone()).collect();
                    prop_assert_eq!(read_copy(out.strip_suffix(b"\n").unwrap()), wanted.clone());
                    let key = project(row, &places);
                    let whole = encode(&wanted);
                    prop_assert_eq!(&*key, &whole[1..whole.len() - 1]);
                }
            }
            // A row of no columns looks like a row of one NULL.
            for wrong in [columns + 1, columns - 1].into_iter().filter(|&wrong| wrong > 0) {
                prop_assert!(rows(&block, wrong).all(|row| row.is_err()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(block in prop::collection::vec(any::<u8>(), 0..60), columns in 0..5usize) {
            let _ = rows(&block, columns).count();
            for field in fields(&block).flatten() {
                let _ = field.unescape();
            }
            let _ = project(&block, &[1, 2]);
            let _ = project(&block, &[2, 0]);
            to_copy_text(&block, &[0, 1, 4], &mut BytesMut::new());
        }
    }

    #[test]
    fn one_null_and_no_columns_are_told_apart_by_the_shape() {
        assert_eq!(rows(b"()\n()", 1).count(), 2);
        assert_eq!(rows(b"()", 0).next(), Some(Ok(&b""[..])));
        assert!(rows(b"(1)", 0).next().unwrap().is_err());
        assert_eq!(fields(b"").collect::<Vec<_>>(), [None]);
        assert_eq!(
            fields(b"\"\"").next().unwrap().unwrap().unescape(),
            &b""[..]
        );
    }

    #[test]
    fn parts_of_a_row_are_borrowed_where_they_stand_side_by_side() {
        let row = b"1,\"a,\"\"b\",,4";
        assert!(matches!(
            project(row, &[1, 2]),
            Cow::Borrowed(b"\"a,\"\"b\",")
        ));
        assert_eq!(project(row, &[3, 0]), &b"4,1"[..]);
        assert_eq!(project(row, &[2]), &b""[..]);
    }

    #[test]
    fn a_block_that_capture_cannot_have_written_is_refused_with_the_place() {
        for (block, offset) in [
            (&b""[..], 0),
            (b"1,2", 0),
            (b"(1,2", 4),
            (b"(1,\"2)", 3),
            (b"(1,2)(3,4)", 5),
            (b"(1,2)\n", 6),
            (b"(1\n,2)", 2),
            (b"(1,2)\n(1)", 6),
            (b"(1, \"2\")", 4),
            (b"(\"1\"x,2)", 4),
        ] {
            let error = rows(block, 2).find_map(Result::err).unwrap();
            assert_eq!(error.offset, offset, "{}", String::from_utf8_lossy(block));
        }
    }
}
