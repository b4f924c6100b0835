//! Scripts of DDL that go through a queue: their texts and events here (pure), and where they are recorded.

pub mod attributes;
pub mod logged;
pub mod made;
pub mod needs;
pub mod record;
pub mod statements;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::{attributes::Attribute, statements::BadScript};
use crate::name::TableName;

/// The longest text of a script, in bytes: it is one event, and is held in memory as a whole.
pub const LONGEST: usize = 1 << 20;

/// A script as its event has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Script {
    /// Its name.
    pub id: String,
    /// [`digest`] of its text.
    pub digest: String,
    /// Its text.
    pub sql: String,
    /// A tick of the queue at which the tables that it touches are as the script found them; none: not known.
    pub tick: Option<i64>,
    /// The captured tables that it touches.
    pub tables: Vec<Touched>,
}

/// A captured table that a script touches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Touched {
    /// Its schema, as its events name it.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its oid where the event was logged.
    pub oid: u32,
}

/// What a script has made, as it is stored.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Made {
    pub(crate) kind: String,
    pub(crate) schema: String,
    pub(crate) name: String,
}

/// What a script has made, as JSON for its row.
pub(crate) fn made_json(made: &[(String, TableName)]) -> String {
    let made: Vec<Made> = made
        .iter()
        .map(|(kind, name)| Made {
            kind: kind.clone(),
            schema: name.schema.clone(),
            name: name.name.clone(),
        })
        .collect();
    serde_json::json!(made).to_string()
}

impl Script {
    /// The attributes of its text. A provider of another version may take some that are not known here.
    ///
    /// # Errors
    /// [`BadScript`]
    pub fn attributes(&self) -> Result<Vec<Attribute>, BadScript> {
        attributes::attributes(&self.sql)
    }

    /// Whether it touches a table, by the table's oid or by the name that an attribute has.
    pub fn touches(&self, oid: u32, table: &TableName) -> bool {
        self.tables.iter().any(|one| one.oid == oid)
            || self.attributes().is_ok_and(|all| {
                all.iter()
                    .any(|attribute| attribute.local_table() == Some(table))
            })
    }

    /// Whether the digest is that of the text.
    pub fn is_whole(&self) -> bool {
        self.digest == digest(&self.sql)
    }
}

/// SHA-256 of a text, in hex.
pub fn digest(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_touches_tables_by_oid_and_by_the_names_of_its_attributes() {
        let sql = "--*-- Local-Table: a\nselect 1";
        let script = Script {
            id: "1".into(),
            digest: digest(sql),
            sql: sql.into(),
            tick: None,
            tables: vec![Touched {
                schema: "public".into(),
                name: "b".into(),
                oid: 7,
            }],
        };
        let table = |name: &str| TableName::new("public", name);
        assert!(script.is_whole());
        assert!(script.touches(1, &table("a")) && script.touches(7, &table("renamed")));
        assert!(!script.touches(1, &table("b")));
        let other = Script {
            sql: "select 2".into(),
            ..script
        };
        assert!(!other.is_whole());
    }
}
