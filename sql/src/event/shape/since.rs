//! What a shape's event says beside the shape: which shape it takes the place of, and of what its columns are made.
//! Pure.
//!
//! Source: `sql/FORMAT.md`.

use serde::Deserialize;

use super::ShapeId;

/// The further keys of a shape's event. An event that tells a shape again has none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Since {
    /// The shape that the table had until now.
    pub was: Option<Was>,
    /// The columns that the table has now.
    pub made_of: Option<Vec<MadeOf>>,
}

/// The shape before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Was {
    /// Its number.
    pub shape: ShapeId,
    /// Its columns.
    pub columns: Vec<WasColumn>,
}

/// A column of the shape before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WasColumn {
    /// The column's number, which stays when it is renamed; none: an older version of capture wrote that shape.
    pub attnum: Option<i16>,
    /// The column's name.
    pub name: String,
    /// The column's type with modifiers, as a shape has it.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// Of what a column is made, as its own table's catalog says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MadeOf {
    /// The column's number.
    pub attnum: i16,
    /// The schema of its type.
    pub schema: String,
    /// The name of its type; an array's is that of the type that it is an array of, behind `_`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What the type's modifiers come to (`atttypmod`); -1: it has none.
    #[serde(rename = "mod")]
    pub modifier: i32,
    /// Whether it takes no null.
    pub not_null: bool,
    /// Its default, where that is a constant: a text, or what `is_literal` says.
    pub default: Option<String>,
    /// The default is a number, `true` or `false`, as SQL writes it.
    pub is_literal: bool,
    /// The value that a new column has in all rows from before it; none: null, or not known.
    pub fill: Option<String>,
}

impl Since {
    /// What an event says beside its shape.
    ///
    /// # Errors
    /// The text is no JSON of that form.
    pub fn from_json(json: &str) -> Result<Since, serde_json::Error> {
        serde_json::from_str(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_tells_a_shape_again_says_nothing_beside_it() {
        let told_again = r#"{"shape":7,"table":{"schema":"s","name":"t","oid":1},"identity":"key","columns":[]}"#;
        assert_eq!(Since::from_json(told_again).unwrap(), Since::default());
        let since = Since::from_json(
            r#"{"shape":8,"was":{"shape":7,"columns":[{"attnum":1,"name":"a","type":"integer"}]},
                "made_of":[{"attnum":1,"schema":"pg_catalog","type":"int8","mod":-1,"not_null":true,
                            "default":"7","is_literal":true,"fill":null}]}"#,
        )
        .unwrap();
        assert_eq!(since.was.unwrap().shape, ShapeId(7));
        assert!(since.made_of.unwrap()[0].is_literal);
        assert!(Since::from_json(r#"{"was":{"shape":7}}"#).is_err());
    }
}
