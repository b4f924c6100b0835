//! How a table is copied: its parts, and their form. Pure.

use std::collections::HashMap;

use sql::provider::copy::Relation;
use tokio_postgres::types::Type;

/// The size of a part, about: a failed part is no great loss, and a table that waits for a stream waits for one part at
/// most.
const PART_BYTES: i64 = 64 << 20;

/// A part with fewer bytes than this costs more than it gains.
const SMALLEST_PART_BYTES: i64 = 8 << 20;

/// A table smaller than this is loaded with its indexes in place: taking them away and building them again costs more.
const KEEPS_INDEXES_BYTES: i64 = 4 << 20;

/// A part of a copy: one COPY out, one COPY in, one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyPart {
    /// The part's number in the copy.
    pub(crate) number: i32,
    /// The index of the part's relation in the source.
    pub(crate) relation: usize,
    /// The first page, and the page after the last one; none at the open ends.
    pub(crate) pages: (Option<i64>, Option<i64>),
}

impl CopyPart {
    /// The condition that chooses the part's rows, by their column `ctid`; none for all rows.
    pub(crate) fn condition(&self) -> Option<String> {
        let at = |page: i64| format!("'({page},0)'::pg_catalog.tid");
        match self.pages {
            (None, None) => None,
            (None, Some(end)) => Some(format!("ctid < {}", at(end))),
            (Some(start), None) => Some(format!("ctid >= {}", at(start))),
            (Some(start), Some(end)) => {
                Some(format!("ctid >= {} and ctid < {}", at(start), at(end)))
            }
        }
    }
}

/// What the sizes of a table's relations say about its copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of a page.
    pub(crate) page_bytes: i64,
    /// Streams that may work at once.
    pub(crate) streams: usize,
    /// Whether a range of pages is read without reading the rest.
    pub(crate) reads_ranges: bool,
}

impl Sizes {
    /// The parts, in the order in which they are copied. A relation without a page has no row. The last part of each
    /// relation has no end, because it holds the pages that were added after the size was read.
    pub(crate) fn parts(&self, relations: &[Relation]) -> Vec<CopyPart> {
        let mut parts = Vec::new();
        for (relation, one) in relations.iter().enumerate() {
            for pages in self.ranges(one.pages) {
                parts.push(CopyPart {
                    number: i32::try_from(parts.len()).unwrap_or(i32::MAX),
                    relation,
                    pages,
                });
            }
        }
        parts
    }

    /// Ranges of equal size that cover a relation.
    fn ranges(&self, pages: i64) -> Vec<(Option<i64>, Option<i64>)> {
        if pages == 0 {
            return Vec::new();
        }
        let bytes = pages.saturating_mul(self.page_bytes);
        let by_size = bytes / PART_BYTES + 1;
        let by_streams =
            (bytes / SMALLEST_PART_BYTES).clamp(1, i64::try_from(self.streams).unwrap_or(i64::MAX));
        let count = if self.reads_ranges {
            by_size.max(by_streams).min(pages)
        } else {
            1
        };
        let border = |n: i64| {
            // The product is made in 128 bits, because pages times parts may be more than 64 bits hold.
            let page = i128::from(pages) * i128::from(n) / i128::from(count);
            i64::try_from(page).unwrap_or(i64::MAX)
        };
        (0..count)
            .map(|n| {
                let start = (n > 0).then(|| border(n));
                let end = (n + 1 < count).then(|| border(n + 1));
                (start, end)
            })
            .collect()
    }

    /// Whether it is worth taking the subscriber's indexes away for the copy.
    pub(crate) fn take_indexes_away(&self, relations: &[Relation]) -> bool {
        let pages: i64 = relations.iter().map(|one| one.pages).sum();
        pages.saturating_mul(self.page_bytes) >= KEEPS_INDEXES_BYTES
    }
}

/// Types of the server itself whose binary form is the same in all versions and means the same as their text. The list
/// leaves out types of oids (`regclass`), of a locale's currency (`money`), of an encoding (`xml`), and all users'
/// types.
const PORTABLE: [Type; 40] = [
    Type::BOOL,
    Type::BYTEA,
    Type::CHAR,
    Type::NAME,
    Type::INT8,
    Type::INT2,
    Type::INT4,
    Type::TEXT,
    Type::OID,
    Type::JSON,
    Type::POINT,
    Type::LSEG,
    Type::PATH,
    Type::BOX,
    Type::POLYGON,
    Type::LINE,
    Type::CIRCLE,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::MACADDR,
    Type::MACADDR8,
    Type::INET,
    Type::CIDR,
    Type::BPCHAR,
    Type::VARCHAR,
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::TIMETZ,
    Type::INTERVAL,
    Type::BIT,
    Type::VARBIT,
    Type::NUMERIC,
    Type::UUID,
    Type::JSONB,
    Type::INT4_ARRAY,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::FLOAT8_ARRAY,
];

/// Whether rows of these columns may be sent in binary form.
pub(crate) fn may_be_binary<'a>(
    columns: impl IntoIterator<Item = &'a str>,
    here: &HashMap<String, u32>,
    there: &HashMap<String, u32>,
) -> bool {
    columns.into_iter().all(|column| {
        here.get(column).is_some_and(|oid| {
            there.get(column) == Some(oid) && PORTABLE.iter().any(|one| one.oid() == *oid)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::name::TableName;

    fn relation(pages: i64) -> Relation {
        Relation {
            name: TableName::new("public", "t"),
            pages,
            bytes: pages * 8192,
        }
    }

    fn sizes(reads_ranges: bool) -> Sizes {
        Sizes {
            page_bytes: 8192,
            streams: 4,
            reads_ranges,
        }
    }

    #[test]
    fn parts_cover_every_page_once_and_the_last_one_has_no_end() {
        for pages in [1, 2, 1023, 1024, 16_394, 163_935, 4_294_967_294] {
            let parts = sizes(true).parts(&[relation(pages)]);
            assert_eq!(parts.first().unwrap().pages.0, None);
            assert_eq!(parts.last().unwrap().pages.1, None);
            for pair in parts.windows(2) {
                assert_eq!(pair[0].pages.1, pair[1].pages.0);
                assert!(pair[0].pages.0 < pair[0].pages.1);
            }
        }
    }

    #[test]
    fn a_table_without_pages_has_no_part_and_a_small_one_has_one() {
        assert!(sizes(true).parts(&[relation(0)]).is_empty());
        let parts = sizes(true).parts(&[relation(5), relation(0), relation(3)]);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].relation, 2);
        assert_eq!(parts[1].condition(), None);
    }

    #[test]
    fn a_server_that_would_read_the_whole_table_for_each_range_gets_one() {
        assert_eq!(sizes(false).parts(&[relation(1_000_000)]).len(), 1);
        assert_eq!(sizes(true).parts(&[relation(16_394)]).len(), 4);
    }

    #[test]
    fn conditions_are_written_with_pages() {
        let part = |pages| CopyPart {
            number: 0,
            relation: 0,
            pages,
        };
        assert_eq!(
            part((Some(3), Some(9))).condition().as_deref(),
            Some("ctid >= '(3,0)'::pg_catalog.tid and ctid < '(9,0)'::pg_catalog.tid")
        );
    }

    #[test]
    fn only_the_same_types_of_the_server_itself_go_in_binary_form() {
        let types = |oid| HashMap::from([("a".to_owned(), oid)]);
        let (int4, int8) = (Type::INT4.oid(), Type::INT8.oid());
        assert!(may_be_binary(["a"], &types(int4), &types(int4)));
        assert!(!may_be_binary(["a"], &types(int4), &types(int8)));
        assert!(!may_be_binary(["a"], &types(16_500), &types(16_500)));
        let money = Type::MONEY.oid();
        assert!(!may_be_binary(["a"], &types(money), &types(money)));
        assert!(!may_be_binary(["a", "b"], &types(int4), &types(int4)));
    }
}
