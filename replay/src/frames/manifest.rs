//! The manifest of a base: the tick whose rows it has, and every object of it, with size and hash. It is the last
//! object of a base that is made: the base is there when its manifest is.

use std::fmt;

use serde::{Deserialize, Serialize};
use sql::name::TableName;

use super::{
    frame::SequenceEntry,
    place::{Place, Time},
    segment::sha,
};

/// The format and its version.
pub const FORMAT: &str = "base/1";

/// The file's name in the base's directory.
pub const FILE: &str = "manifest.json";

/// The longest manifest that is read: 100,000 tables of 1,000 bytes.
pub const LONGEST: u64 = 100 << 20;

/// What a manifest says. Keys that this version does not know are left out when it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format: [`FORMAT`].
    pub trunkline: String,
    /// The archive that the base belongs to.
    pub archive: String,
    /// The base's own name.
    pub base: Name,
    /// What the operator calls it.
    pub label: Option<String>,
    /// Where the rows were read: `provider`, or the name of a subscriber.
    pub source: String,
    /// The tick whose rows these are. What follows it is in the archive's segments.
    pub at: Place,
    /// When that tick was made, by the provider's clock.
    pub time: Time,
    /// When making the base began, by the provider's clock.
    pub began: Time,
    /// When its last row was read, by the provider's clock.
    pub ended: Time,
    /// The version of the server that `schema` is of, as `server_version_num` says it.
    pub server: u32,
    /// The major version of the `pg_dump` that wrote `schema`: an older `pg_restore` cannot read it.
    pub dump: u32,
    /// Whose schema it is: `provider`, or the name of a subscriber.
    pub schema_of: String,
    /// The schema, as `pg_dump --format=custom --schema-only` wrote it.
    pub schema: Object,
    /// The roles that the schema names, as owners or as those who have rights.
    pub roles: Vec<String>,
    /// The tables with rows in the base.
    pub tables: Vec<Table>,
    /// The values of the archive's sequences, read after the tick `at`.
    pub sequences: Vec<SequenceEntry>,
    /// Tables that the archive keeps and the base has not: it is incomplete.
    pub missing: Vec<Missing>,
    /// What the database has besides, and no base of this archive can have.
    pub left_out: Vec<LeftOut>,
    /// The public keys that its objects are encrypted to; empty: they are not.
    pub sealed: Vec<String>,
    /// Of a base that is encrypted: the object with what this manifest leaves out, the roles, the sequences, and each
    /// table's columns and shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Object>,
}

/// A file of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its path in the base's directory.
    pub path: String,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The SHA-256 of these bytes, in hexadecimal digits.
    pub sha: String,
}

/// The rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The schema that the table is in, at the base.
    pub schema: String,
    /// The table's name in it.
    pub name: String,
    /// The table's oid on the provider, which stays when it is renamed: events name it.
    pub oid: u32,
    /// The names of the columns, in the order of the values in a row.
    pub columns: Vec<String>,
    /// The table's newest shape (`sql/FORMAT.md`), as the provider wrote it.
    pub shape: serde_json::Value,
    /// Of a base that is encrypted: the hash of the shape's columns and name, by which who has no key knows that they
    /// are other ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape_sha: Option<String>,
    /// The parts are binary COPY, else COPY text in UTF-8.
    pub binary: bool,
    /// The number of rows, over all parts.
    pub rows: u64,
    /// How often the subscriber that was read has found another row than a change said, since it was installed.
    pub conflicts: u64,
    /// The parts, in the order of their numbers.
    pub parts: Vec<Part>,
}

impl Table {
    /// The table's name at the base.
    pub fn table(&self) -> TableName {
        TableName::new(self.schema.clone(), self.name.clone())
    }
}

/// A part of a table's rows: one zstd stream of COPY data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The file.
    #[serde(flatten)]
    pub object: Object,
    /// Bytes of COPY data.
    pub raw_bytes: u64,
    /// The number of rows.
    pub rows: u64,
}

/// A table that the base should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The table's schema on the provider.
    pub schema: String,
    /// Its name in it.
    pub name: String,
    /// Why the base has not its rows.
    pub why: String,
}

/// Something of the database that is in no base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it is.
    pub what: String,
    /// Why it is not there.
    pub why: String,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// The hash at its end is not that of the text before.
    #[error("it is not what was written: its hash is another one")]
    Hash,
    /// The text is not what this version knows.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer version has written it.
    #[error("its format is {0:?}, and this version knows {FORMAT:?}")]
    Format(String),
    /// It is encrypted, and does not say where the rest of it is, or the other way round.
    #[error("it is encrypted in part")]
    Detail,
    /// It names a file that no base has.
    #[error("it names {0:?}, which is no file of a base")]
    Path(String),
    /// The parts of a table do not have its rows.
    #[error("the parts of table {0} have not as many rows as the table")]
    Rows(TableName),
}

/// What stands between a manifest and its hash.
const BEFORE_SHA: &str = ",\"sha\":\"";

/// What stands behind the hash.
const BEHIND_SHA: &str = "\"}\n";

impl Manifest {
    /// The manifest as it is stored: one object of JSON, whose last key is the SHA-256 of all that stands before that
    /// key.
    ///
    /// # Errors
    /// None with this type; the serializer's type has one.
    pub fn written(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        text.pop();
        let sha = sha(text.as_bytes());
        Ok(format!("{text}{BEFORE_SHA}{sha}{BEHIND_SHA}"))
    }

    /// Reads a manifest, and checks its hash, that it names only files of a base, and that the parts have the tables'
    /// rows.
    ///
    /// # Errors
    /// [`BadManifest`].
    pub fn read(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        let hashed = || {
            let text = bytes.strip_suffix(BEHIND_SHA.as_bytes())?;
            let (text, found) = text.split_at_checked(text.len().checked_sub(64)?)?;
            let text = text.strip_suffix(BEFORE_SHA.as_bytes())?;
            (sha(text).as_bytes() == found).then_some(())
        };
        hashed().ok_or(BadManifest::Hash)?;
        #[derive(Deserialize)]
        struct Format {
            trunkline: String,
        }
        let Format { trunkline } = serde_json::from_slice(bytes)?;
        if trunkline != FORMAT {
            return Err(BadManifest::Format(trunkline));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), BadManifest> {
        if self.schema.path != SCHEMA {
            return Err(BadManifest::Path(self.schema.path.clone()));
        }
        if self.detail.is_some() == self.sealed.is_empty() {
            return Err(BadManifest::Detail);
        }
        if let Some(detail) = self.detail.as_ref().filter(|one| one.path != DETAIL) {
            return Err(BadManifest::Path(detail.path.clone()));
        }
        for table in &self.tables {
            let mut rows: u64 = 0;
            for (number, part) in table.parts.iter().enumerate() {
                if part.object.path != part_path(table.oid, number) {
                    return Err(BadManifest::Path(part.object.path.clone()));
                }
                rows = rows.saturating_add(part.rows);
            }
            if rows != table.rows {
                return Err(BadManifest::Rows(table.table()));
            }
        }
        Ok(())
    }

    /// Whether it has the rows of all tables that the archive keeps. One that has not serves to restore single tables.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// All files but the manifest.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let parts = self.tables.iter().flat_map(|table| &table.parts);
        [&self.schema]
            .into_iter()
            .chain(&self.detail)
            .chain(parts.map(|part| &part.object))
    }

    /// The number of rows, over all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Bytes on the disk, without the manifest.
    pub fn bytes(&self) -> u64 {
        self.objects().map(|object| object.bytes).sum()
    }
}

/// The path of the schema in a base.
pub const SCHEMA: &str = "schema.dump";

/// The path of what an encrypted base's manifest leaves out.
pub const DETAIL: &str = "detail";

/// The path of a part of a table in a base.
pub fn part_path(oid: u32, number: usize) -> String {
    format!("data/{oid}/{number:05}.copy")
}

/// A base's name, which is also that of its directory: when it was made, at which tick, and where its rows are from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// Why a text is no name of a base.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no name of a base, such as 20261128T020711Z-48212-s")]
pub struct BadName(String);

/// Where the rows of a base are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Off a subscriber.
    Subscriber,
    /// Off the provider.
    Provider,
}

impl Kind {
    fn letter(self) -> &'static str {
        match self {
            Kind::Subscriber => "s",
            Kind::Provider => "p",
        }
    }
}

impl Name {
    /// The name of a base.
    pub fn of(began: Time, at: Place, kind: Kind) -> Name {
        let seconds: String = String::from(began).chars().take(19).collect();
        let time = seconds.replace(['-', ':'], "");
        Name(format!("{time}Z-{}-{}", at.1.0, kind.letter()))
    }

    /// The base's directory, from the archive's on.
    pub fn directory(&self) -> String {
        format!("bases/{self}")
    }

    /// The path of a file of the base, from the archive's directory on.
    pub fn path(&self, of: &str) -> String {
        format!("bases/{self}/{of}")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Name, BadName> {
        let is_name = || {
            let mut words = text.split('-');
            let (time, tick, kind) = (words.next()?, words.next()?, words.next()?);
            let (date, hours) = time.strip_suffix('Z')?.split_once('T')?;
            let digits = |text: &str, count: usize| {
                text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
            };
            let number: i64 = tick.parse().ok()?;
            let is_well = words.next().is_none()
                && digits(date, 8)
                && digits(hours, 6)
                && number.to_string() == tick
                && ["s", "p"].contains(&kind);
            is_well.then_some(())
        };
        match is_name() {
            Some(()) => Ok(Name(text)),
            None => Err(BadName(text)),
        }
    }
}

/// A manifest, for tests.
#[cfg(test)]
pub(crate) fn sample() -> Manifest {
    use serde_json::json;

    use super::place::Number;

    let object = |path: &str, bytes: u64| Object {
        path: path.into(),
        bytes,
        sha: "h1".into(),
    };
    let time_of = |text: &str| Time::try_from(text.to_owned()).unwrap();
    let at = Place(Number(7), Number(48_212), Number(5));
    let began = time_of("2026-11-28T02:07:11.500000Z");
    Manifest {
        trunkline: FORMAT.into(),
        archive: "a1".into(),
        base: Name::of(began, at, Kind::Subscriber),
        label: Some("weekly".into()),
        source: "host2".into(),
        at,
        time: time_of("2026-11-28T02:07:11.000000Z"),
        began,
        ended: time_of("2026-11-28T02:08:00.000000Z"),
        server: 150_004,
        dump: 15,
        schema_of: "provider".into(),
        schema: object("schema.dump", 100),
        roles: vec!["app".into()],
        tables: vec![Table {
            schema: "public".into(),
            name: "t".into(),
            oid: 16_400,
            columns: vec!["id".into()],
            shape: json!({"shape": 3, "later": "unknown"}),
            shape_sha: None,
            binary: true,
            rows: 3,
            conflicts: 0,
            parts: vec![Part {
                object: object("data/16400/00000.copy", 50),
                raw_bytes: 60,
                rows: 3,
            }],
        }],
        sequences: vec![SequenceEntry(
            "public".into(),
            "s".into(),
            Number(9),
            true,
            Number(1),
        )],
        missing: vec![Missing {
            schema: "public".into(),
            name: "u".into(),
            why: "parked".into(),
        }],
        left_out: vec![LeftOut {
            what: "table public.v".into(),
            why: "not kept".into(),
        }],
        sealed: Vec::new(),
        detail: None,
    }
}

#[cfg(test)]
mod tests;
