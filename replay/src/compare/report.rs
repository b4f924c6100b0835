//! What a comparison has found out. Pure.

use std::collections::BTreeMap;

use sql::{name::quote_ident, subscriber::position::Position};

use super::{judge::Kind, statements::nullable_fields};

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The key's text as a record, the provider's where it has the row; of a row without a key, a hash.
    pub(crate) key: String,
    /// How it differs.
    pub(crate) kind: Kind,
    /// The names of the columns that differ, of a changed row.
    pub(crate) columns: Vec<String>,
    /// How many equal rows without a key are missing or too many; else 1.
    pub(crate) count: u64,
}

/// A row without a key, as an event would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// The texts of the compared columns.
    pub(crate) values: Vec<Option<String>>,
    /// How many of it the provider had where it was counted.
    pub(crate) wanted: i64,
    /// How many more of it the subscriber must have; below 0: how many fewer.
    pub(crate) more: i64,
    /// Where it was counted.
    pub(crate) at: Position,
}

/// How far a comparison is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Rows of the provider that were compared.
    pub(crate) rows: u64,
    /// Rows that differ.
    pub(crate) differences: Vec<Difference>,
    /// By their hashes, the rows without a key that differ, with what the subscriber lacks of each.
    pub(crate) sums: BTreeMap<String, Sum>,
    /// Rows that are changed all the time, each time with all values, and that are followed.
    pub(crate) in_motion: u64,
    /// Why the table was compared as a whole, though only what was changed since was asked for; none: it was not.
    pub(crate) is_whole: Option<&'static str>,
    /// So many rows differ that it has ended.
    pub(crate) is_cut: bool,
    /// The last key of what was compared, as a record; none: no stretch of keys is finished.
    pub(crate) upto: Option<String>,
}

impl Report {
    /// How many rows differ; equal rows without a key are as many as they are.
    pub(crate) fn differing(&self) -> u64 {
        self.differences.iter().map(|one| one.count).sum()
    }
}

/// A key for a person: `id = 5`, `a = 1, b = x`; of a row without a key: its hash.
pub(crate) fn describe_key(names: &[&str], key: &str) -> String {
    if names.is_empty() {
        return format!("md5 = {key}");
    }
    let pairs = names.iter().zip(nullable_fields(key));
    let pairs: Vec<String> = pairs
        .map(|(name, value)| {
            let value = value.unwrap_or_else(|| "null".to_owned());
            format!("{} = {value}", quote_ident(name))
        })
        .collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{
        super::statements::{fields, record},
        *,
    };

    #[test]
    fn a_key_that_is_told_is_the_key_that_is_read() {
        let key = ["a\"b".to_owned(), "\\,".to_owned(), String::new()];
        assert_eq!(fields(&record(&key)), key);
        assert_eq!(
            describe_key(&["A", "b"], "(1,\"x y\")"),
            "\"A\" = 1, b = x y"
        );
        assert_eq!(describe_key(&["a", "b"], "(,2)"), "a = null, b = 2");
        assert_eq!(describe_key(&["a"], "()"), "a = null");
    }
}
