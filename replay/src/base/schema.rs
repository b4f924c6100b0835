//! The schema of a base. The shapes of the tables are read before and after it is dumped: where they are the same, it
//! is the schema that they are the shapes of.

use std::io::{Read as _, Seek as _};

use admin::exit::Failure;
use anyhow::Context as _;
use sql::{
    base,
    connect::{ApplicationName, Purpose, Session},
    event::shape::Shape,
    name::TableName,
    provider::definition,
};

use super::{
    making::{Kept, Making, Writing, already, blocking, newest_shapes, unwritable},
    source::Source,
};
use crate::{
    archive::store::Create,
    frames::{
        manifest::{Object, SCHEMA},
        segment::sha,
    },
    pg_dump::PgDump,
};

/// The schema, in the base.
pub(super) struct Dumped {
    pub(super) object: Object,
    /// Version of the server.
    pub(super) server: u32,
    /// Version of `pg_dump`.
    pub(super) major: u32,
    /// Whose schema it is.
    pub(super) of: String,
    pub(super) roles: Vec<String>,
    /// Tables that it is without.
    pub(super) unreadable: Vec<TableName>,
}

/// Dumps the provider's schema into the base: it is the one that events are of. Only the catalog is read. None: the
/// tables' columns have changed meanwhile, and nothing was written.
pub(super) async fn dump(
    making: &Making<'_>,
    provider: &Session,
    source: &Source,
    kept: &[Kept],
    writing: Writing<'_>,
) -> Result<Option<Dumped>, Failure> {
    let server = base::version(&**provider).await?;
    let pg_dump = PgDump::find(server / 10_000, "a base").await?;
    let unreadable = definition::unreadable_tables(&**provider).await?;
    let roles = base::roles(&**provider).await?;
    let name = ApplicationName::new(Purpose::PgDump, &making.config.daemon.job_name);
    let from = making.config.provider.for_libpq();
    let mut file = pg_dump
        .dump(&from, name.as_str(), source.of_provider(), &unreadable)
        .await
        .context("could not dump the provider's schema")?;
    let shapes = newest_shapes(provider, &making.config.queue).await?;
    let is_same = kept.iter().all(|one| {
        let now = shapes.get(&one.oid);
        now.is_some_and(|(now, _)| now.columns == one.shape.columns && now.table == one.shape.table)
    });
    if !is_same {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .context("could not read what pg_dump has written")?;
    let bytes = writing.recipients.sealed(bytes);
    let bytes = bytes.context("could not encrypt the schema")?;
    let path = writing.name.path(SCHEMA);
    let object = Object {
        path: SCHEMA.into(),
        bytes: bytes.len() as u64,
        sha: sha(&bytes),
    };
    let store = writing.store.clone();
    match blocking(move || store.create(&path, &[&bytes])).await? {
        Ok(Create::Made) => {}
        Ok(Create::Exists) => return Err(already(writing.name)),
        Err(error) => return Err(unwritable(writing.name, error)),
    }
    Ok(Some(Dumped {
        object,
        server,
        major: pg_dump.major(),
        of: "provider".into(),
        roles,
        unreadable,
    }))
}

/// The first table whose columns or name have changed since a tick; none: none has.
pub(super) async fn changed_since(
    provider: &Session,
    queue: &str,
    kept: &[Kept],
    tick: i64,
) -> Result<Option<TableName>, Failure> {
    for text in base::shapes_at(&**provider, queue, tick).await? {
        let then = Shape::from_json(&text).context("could not read a shape of the provider")?;
        let differs = |one: &&Kept| {
            one.oid == then.table.oid
                && (one.shape.columns != then.columns || one.shape.table != then.table)
        };
        if let Some(one) = kept.iter().find(differs) {
            return Ok(Some(one.table.clone()));
        }
    }
    Ok(None)
}
