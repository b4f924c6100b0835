//! What a base is made of, and how.

use std::{collections::HashMap, fmt::Display, sync::Arc, time::Instant};

use admin::{
    config::{ArchiveConfig, ReplayConfig, SubscriberConfig},
    exit::{Exit, Failure},
};
use anyhow::{Context as _, anyhow};
use serde_json::Value;
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    event::shape::Shape,
    install::ownership::Schema,
    name::TableName,
    provider,
};

use super::pace::Pace;
use crate::{
    archive::{seal::Recipients, store::Store},
    frames::manifest::{Kind, Missing, Name},
};

/// Where the rows are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From<'a> {
    /// Off a subscriber, at its position.
    Subscriber(&'a SubscriberConfig),
    /// Off the provider, at a tick that is made for it.
    Provider,
}

impl From<'_> {
    /// The name in the manifest.
    pub(super) fn name(&self) -> String {
        match self {
            From::Subscriber(one) => one.source_name().to_owned(),
            From::Provider => "provider".into(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            From::Subscriber(_) => Kind::Subscriber,
            From::Provider => Kind::Provider,
        }
    }
}

/// What a base is made of, and how.
pub(crate) struct Making<'a> {
    /// The job.
    pub config: &'a ReplayConfig,
    /// The archive.
    pub archive: &'a ArchiveConfig,
    /// Where the rows are read.
    pub from: From<'a>,
    /// The only tables; empty: all.
    pub tables: &'a [TableName],
    /// A source that lacks one of the archive's tables is refused: the base would count for nothing.
    pub whole: bool,
    /// What the operator calls it.
    pub label: Option<String>,
    /// Streams that read at the same time.
    pub streams: usize,
    /// The rate at which rows are read; None: no limit.
    pub pace: Option<Arc<Pace>>,
    /// When to give up waiting for the archive; None: never.
    pub deadline: Option<Instant>,
}

/// A table that the archive keeps.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Its present name.
    pub(super) table: TableName,
    /// Its oid on the provider.
    pub(super) oid: u32,
    /// Its newest shape.
    pub(super) shape: Shape,
    /// The shape as the provider wrote it.
    pub(super) text: Value,
}

impl Making<'_> {
    /// A session that reads for the base.
    pub(super) async fn session(
        &self,
        to: &ConnectInfo,
        schemas: &[Schema],
    ) -> Result<Session, Failure> {
        let name = ApplicationName::new(Purpose::Base, &self.config.daemon.job_name);
        Ok(to.connect_for(&name, schemas).await?)
    }
}

/// Shapes by the oids of their tables, each also as the provider wrote it.
pub(super) type Shapes = HashMap<u32, (Shape, Value)>;

/// The newest shape of each table of a queue, by the table's oid, and as the provider wrote it.
pub(super) async fn newest_shapes(provider: &Session, queue: &str) -> Result<Shapes, Failure> {
    let mut newest = HashMap::new();
    for text in provider::shapes(&**provider, queue, None).await? {
        let shape = Shape::from_json(&text).context("could not read a shape of the provider")?;
        let text = serde_json::from_str(&text).context("could not read a shape of the provider")?;
        newest.insert(shape.table.oid, (shape, text));
    }
    Ok(newest)
}

/// Where the objects of a base go.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) store: &'a Store,
    /// To whom they are sealed.
    pub(super) recipients: &'a Recipients,
    pub(super) name: &'a Name,
}

/// A table that the base lacks.
pub(super) fn missing(table: &TableName, why: impl Display) -> Missing {
    Missing {
        schema: table.schema.clone(),
        name: table.name.clone(),
        why: why.to_string(),
    }
}

/// An object is there that would be made.
pub(super) fn already(name: &Name) -> Failure {
    let text = format!("there is a base {name} already, or what is left of one");
    Failure::message(Exit::Failed, text).with_hint("repeat it")
}

/// An object cannot be made.
pub(super) fn unwritable(name: &Name, error: std::io::Error) -> Failure {
    let error = anyhow!(error).context(format!("base {name} cannot be written"));
    Failure::new(Exit::Failed, error)
}

/// Works on files, beside which the daemon's other tasks go on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.context("work on the archive's files broke off")
}
