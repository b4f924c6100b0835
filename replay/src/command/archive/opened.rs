//! An archive as commands see it: its files, and what is captured for it.

use admin::{config::ArchiveConfig, exit::Failure};
use anyhow::Context as _;
use sql::{
    connect::Session,
    provider::{self, Capture},
};

use crate::{
    archive::{identity::Identity, store::Directory},
    command::Job,
    frames::place::Time,
};

/// An archive that is there.
pub(in crate::command) struct Opened {
    pub(in crate::command) store: Directory,
    pub(in crate::command) identity: Identity,
}

/// Opens the archive of the job.
pub(in crate::command) fn open(job: &Job, one: &ArchiveConfig) -> Result<Opened, Failure> {
    let store = Directory::new(&one.directory);
    let identity = Identity::read(&store, job.name(), job.queue())
        .with_context(|| format!("archive {} cannot be used", one.name))?;
    Ok(Opened { store, identity })
}

/// The tables, or the sequences, that are captured for an archive.
pub(in crate::command) async fn captured(
    job: &Job,
    provider: &Session,
    one: &ArchiveConfig,
    sequences: bool,
) -> Result<Vec<Capture>, Failure> {
    let mut captures = provider::captures(&**provider, Some(job.queue())).await?;
    captures.retain(|capture| capture.is_sequence == sequences && capture.is_of(&one.consumer));
    Ok(captures)
}

/// A time as it is printed.
pub(super) fn time(time: Option<Time>) -> String {
    time.map_or_else(|| "-".into(), String::from)
}
