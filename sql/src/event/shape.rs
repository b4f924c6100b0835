//! What a row of an event consists of, as the shape's own event and `trunkline.shape` say it. Pure.

pub mod since;

use serde::{Deserialize, Serialize};

use crate::name::TableName;

/// A shape's number; unique in a provider database, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShapeId(pub i64);

/// The columns and the key of a captured table at one time. Source: `sql/FORMAT.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The shape's number, which the events with rows of this shape carry.
    pub shape: ShapeId,
    /// The table.
    pub table: ShapeTable,
    /// How rows are told apart.
    pub identity: Identity,
    /// The table's rows lie in partitions: the table is read as a whole.
    #[serde(default)]
    pub partitioned: bool,
    /// The captured columns, in the order of the values in a row.
    pub columns: Vec<Column>,
    /// The table is gone; no event of the table follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// What keeps the table from being replicated from here on; the operator must act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The table of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeTable {
    /// The table's schema.
    pub schema: String,
    /// The table's name in the schema.
    pub name: String,
    /// The table's oid on the provider, which stays when the table is renamed.
    pub oid: u32,
}

/// How the rows of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// By the key columns.
    Key,
    /// By all columns; equal rows are counted.
    Full,
    /// Rows are not told apart: inserts are replicated, other changes are counted and left out.
    InsertOnly,
}

/// A captured column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The column's number in the table, which stays when the column is renamed and is never used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attnum: Option<i16>,
    /// The column's type with modifiers, as `format_type` writes it with a search_path of pg_catalog alone.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The column's place in the key, from 1; none if it is not in the key.
    pub key: Option<u16>,
    /// Whether two values that are equal have the same text.
    pub text_equal: bool,
}

/// Why a text is no shape.
#[derive(Debug, thiserror::Error)]
pub enum BadShape {
    /// The text is not JSON of the form that FORMAT.md gives.
    #[error("the shape cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The shape contradicts itself.
    #[error("shape {} of {}: {why}", shape.0, table)]
    Wrong {
        /// The shape's number.
        shape: ShapeId,
        /// The table's name as one word.
        table: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl Shape {
    /// Reads a shape and checks it: the key's places are 1, 2, ... without a gap, and the columns' names differ.
    ///
    /// # Errors
    /// [`BadShape`].
    pub fn from_json(json: &str) -> Result<Shape, BadShape> {
        let shape: Shape = serde_json::from_str(json)?;
        match shape.contradiction() {
            None => Ok(shape),
            Some(why) => Err(BadShape::Wrong {
                shape: shape.shape,
                table: shape.table_name().to_string(),
                why,
            }),
        }
    }

    /// The table's name.
    pub fn table_name(&self) -> TableName {
        TableName::new(self.table.schema.clone(), self.table.name.clone())
    }

    /// Whether rows are told apart by a key.
    pub fn has_key(&self) -> bool {
        match self.identity {
            Identity::Key => true,
            Identity::Full | Identity::InsertOnly => false,
        }
    }

    /// The places of the key's columns in a row, from 0, in the key's order.
    pub fn key_fields(&self) -> Vec<usize> {
        let mut places: Vec<(u16, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(field, column)| Some((column.key?, field)))
            .collect();
        places.sort_unstable();
        places.into_iter().map(|(_, field)| field).collect()
    }

    /// Whether keys that are equal have the same text, so that a fold may compare text.
    pub fn key_text_is_equality(&self) -> bool {
        self.columns
            .iter()
            .all(|column| column.key.is_none() || column.text_equal)
    }

    fn contradiction(&self) -> Option<&'static str> {
        let mut places: Vec<u16> = self
            .columns
            .iter()
            .filter_map(|column| column.key)
            .collect();
        places.sort_unstable();
        if !places
            .iter()
            .copied()
            .eq(1..=places.len().try_into().unwrap_or(u16::MAX))
        {
            return Some("the places of the key columns are not 1, 2 and so on");
        }
        if places.is_empty() && self.has_key() && !self.dropped && self.problem.is_none() {
            return Some("it has no key");
        }
        let mut names: Vec<&str> = self
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Some("two columns have one name");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"shape": 7, "table": {"schema": "public", "name": "t", "oid": 16400}, "identity": "key",
        "live": false, "columns": [
        {"name": "v", "type": "text", "key": null, "text_equal": true},
        {"name": "b", "type": "numeric(10,2)", "key": 2, "text_equal": false},
        {"name": "a", "type": "integer", "key": 1, "text_equal": true}]}"#;

    #[test]
    fn a_shape_knows_its_key_in_the_order_of_the_key() {
        let shape = Shape::from_json(JSON).unwrap();
        assert_eq!(shape.key_fields(), [2, 1]);
        assert!(!shape.key_text_is_equality());
        assert_eq!(shape.table_name(), TableName::new("public", "t"));
    }

    #[test]
    fn a_shape_that_contradicts_itself_is_refused() {
        for (from, to) in [
            ("\"key\": 2", "\"key\": 3"),
            ("\"key\": 2", "\"key\": 1"),
            ("\"name\": \"b\"", "\"name\": \"a\""),
            ("\"identity\": \"key\"", "\"identity\": \"luck\""),
            ("\"shape\": 7,", ""),
        ] {
            assert!(JSON.contains(from));
            assert!(
                Shape::from_json(&JSON.replacen(from, to, 1)).is_err(),
                "{to}"
            );
        }
    }

    #[test]
    fn a_dropped_table_needs_no_key() {
        let json = r#"{"shape":8,"table":{"schema":"s","name":"t","oid":1},"identity":"key","columns":[],"dropped":true}"#;
        assert!(Shape::from_json(json).unwrap().dropped);
    }
}
