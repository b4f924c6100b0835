//! An archive as commands see it: its files, and what is captured for it.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    near,
    provider::{self, Capture},
};

use crate::{
    archive::{identity::Identity, store::Store},
    command::Job,
    frames::place::Time,
};

/// An archive that is there.
pub(in crate::command) struct Opened {
    pub(in crate::command) store: Store,
    pub(in crate::command) identity: Identity,
}

/// The place of an archive, where nothing needs to be.
pub(in crate::command) fn open_store(one: &ArchiveConfig) -> Result<Store, Failure> {
    let opened = Store::open(&one.address);
    Ok(opened.with_context(|| format!("archive {} cannot be used", one.name))?)
}

/// Opens the archive of the job.
pub(in crate::command) fn open(job: &Job, one: &ArchiveConfig) -> Result<Opened, Failure> {
    let store = open_store(one)?;
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

/// The archive that is meant.
pub(in crate::command) fn chosen<'a>(
    job: &'a Job,
    name: Option<&str>,
) -> Result<&'a ArchiveConfig, Failure> {
    let archives = job.config.archives.as_slice();
    let file = job.config.daemon.config_file.display();
    let usage = |text: String| Failure::message(Exit::Usage, text);
    match (name, archives) {
        (None, [one]) => Ok(one),
        (None, []) => Err(usage(format!("{file}: no subscriber is an archive"))),
        (None, [_, _, ..]) => Err(usage(format!(
            "{file} has {} archives: say which, by --subscriber",
            archives.len()
        ))),
        (Some(name), _) => archives.iter().find(|one| one.name == name).ok_or_else(|| {
            let near = near::name(name, archives.iter().map(|one| one.name.as_str()));
            let near = near::did_you_mean(near);
            usage(format!("{file}: no archive is named {name}{near}"))
        }),
    }
}

/// A time as it is printed.
pub(super) fn time(time: Option<Time>) -> String {
    time.map_or_else(|| "-".into(), String::from)
}
