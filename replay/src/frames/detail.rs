//! What the manifest of an encrypted base leaves out, because it tells of rows or of what they look like. It is an
//! object of its own: JSON, packed and encrypted as the base's other objects are. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sql::event::shape::Shape;

use super::{
    frame::SequenceEntry,
    manifest::{Manifest, Object, Table},
    segment::sha,
};

/// The format and its version.
pub const FORMAT: &str = "detail/1";

/// What is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The format: [`FORMAT`].
    pub trunkline: String,
    /// [`Manifest::roles`].
    pub roles: Vec<String>,
    /// [`Manifest::sequences`].
    pub sequences: Vec<SequenceEntry>,
    /// Of each table.
    pub tables: Vec<TableDetail>,
}

/// What is left out of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDetail {
    /// The table's oid, as in the manifest.
    pub oid: u32,
    /// [`Table::columns`].
    pub columns: Vec<String>,
    /// [`Table::shape`].
    pub shape: serde_json::Value,
}

/// Why the bytes are not what a manifest leaves out.
#[derive(Debug, thiserror::Error)]
pub enum BadDetail {
    /// The text is not what this version knows.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer version has written it.
    #[error("its format is {0:?}, and this version knows {FORMAT:?}")]
    Format(String),
    /// It lacks a table.
    #[error("it lacks table {0} of the manifest")]
    Table(String),
}

impl Detail {
    /// Takes it out of a manifest that is whole. [`Manifest::detail`] is the caller's to set.
    pub fn take(manifest: &mut Manifest) -> Detail {
        let of = |table: &mut Table| {
            let shape = table.shape.take();
            table.shape_sha = Shape::deserialize(&shape).ok().as_ref().and_then(hash);
            TableDetail {
                oid: table.oid,
                columns: std::mem::take(&mut table.columns),
                shape,
            }
        };
        Detail {
            trunkline: FORMAT.into(),
            roles: std::mem::take(&mut manifest.roles),
            sequences: std::mem::take(&mut manifest.sequences),
            tables: manifest.tables.iter_mut().map(of).collect(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`BadDetail`].
    pub fn read(bytes: &[u8]) -> Result<Detail, BadDetail> {
        #[derive(Deserialize)]
        struct Format {
            trunkline: String,
        }
        let Format { trunkline } = serde_json::from_slice(bytes)?;
        if trunkline != FORMAT {
            return Err(BadDetail::Format(trunkline));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Puts it back into its manifest.
    ///
    /// # Errors
    /// [`BadDetail::Table`]: it is that of another one.
    pub fn put(self, manifest: &mut Manifest) -> Result<(), BadDetail> {
        manifest.roles = self.roles;
        manifest.sequences = self.sequences;
        let tables = self.tables.into_iter();
        let mut tables: HashMap<u32, TableDetail> = tables.map(|one| (one.oid, one)).collect();
        for table in &mut manifest.tables {
            let found = tables.remove(&table.oid);
            let found = found.ok_or_else(|| BadDetail::Table(table.table().to_string()))?;
            (table.columns, table.shape) = (found.columns, found.shape);
        }
        Ok(())
    }
}

/// The hash of a shape's columns and of its table's name; None: it has none, which is no shape's.
pub fn hash(shape: &Shape) -> Option<String> {
    let text = serde_json::to_vec(&(&shape.table, &shape.columns)).ok()?;
    Some(sha(&text))
}

/// Whether a base has a table with these columns and this name.
pub fn has_shape(table: &Table, now: &Shape) -> bool {
    if let Some(then) = &table.shape_sha {
        return hash(now).as_ref() == Some(then);
    }
    // A shape that this version cannot read is another one.
    let then = Shape::deserialize(&table.shape).ok();
    then.is_some_and(|then| then.columns == now.columns && then.table == now.table)
}

impl Manifest {
    /// The manifest without what it leaves out; `detail` is where that is.
    pub fn left(mut self, sealed: Vec<String>, detail: Object) -> Manifest {
        self.sealed = sealed;
        self.detail = Some(detail);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::manifest::{DETAIL, sample};

    #[test]
    fn what_an_encrypted_manifest_leaves_out_comes_back_and_tells_nothing_before() {
        let mut manifest = sample();
        let detail = Detail::take(&mut manifest);
        let object = Object {
            path: DETAIL.into(),
            bytes: 7,
            sha: "h1".into(),
        };
        let mut sealed = manifest.left(vec!["age1x".into()], object);
        let text = sealed.written().unwrap();
        for told in ["app", "\"id\"", "later", "\"9\""] {
            assert!(!text.contains(told), "{told} is in {text}");
        }
        assert_eq!(Manifest::read(text.as_bytes()).unwrap(), sealed);
        assert_eq!(sealed.objects().count(), 3);
        let golden = concat!(
            r#"{"trunkline":"detail/1","roles":["app"],"sequences":[["public","s","9",true,"1"]],"#,
            r#""tables":[{"oid":16400,"columns":["id"],"shape":{"later":"unknown","shape":3}}]}"#,
        );
        let written = serde_json::to_string(&detail).unwrap();
        assert_eq!(written, golden);
        Detail::read(written.as_bytes())
            .unwrap()
            .put(&mut sealed)
            .unwrap();
        let whole = sample();
        assert_eq!(
            (&sealed.tables, &sealed.roles, &sealed.sequences),
            (&whole.tables, &whole.roles, &whole.sequences)
        );
        let newer = written.replace("detail/1", "detail/2");
        let bad = Detail::read(newer.as_bytes()).unwrap_err();
        assert!(matches!(bad, BadDetail::Format(_)), "{bad}");
        let other = Detail {
            tables: Vec::new(),
            ..detail
        };
        let bad = other.put(&mut sealed).unwrap_err();
        assert!(matches!(bad, BadDetail::Table(_)), "{bad}");
        // Whoever has no key knows whether a table is the same still, and nothing else.
        let shape = |name: &str| {
            serde_json::json!({"shape": 3, "table": {"oid": 16400, "schema": "public", "name": "t"},
                "identity": "key", "columns": [{"name": name, "type": "integer", "key": 1, "text_equal": true}]})
        };
        let now = |name: &str| Shape::deserialize(shape(name)).unwrap();
        let mut manifest = sample();
        manifest.tables[0].shape = shape("id");
        assert!(has_shape(&manifest.tables[0], &now("id")));
        Detail::take(&mut manifest);
        assert!(has_shape(&manifest.tables[0], &now("id")));
        assert!(!has_shape(&manifest.tables[0], &now("number")));
        // One that says only half of it is no manifest.
        let half = Manifest {
            detail: None,
            ..sealed
        };
        assert!(Manifest::read(half.written().unwrap().as_bytes()).is_err());
    }
}
