//! `--identity`: who opens an archive that is encrypted.

use std::path::PathBuf;

use admin::{config::ArchiveConfig, exit::Failure};
use anyhow::Context as _;

use super::opened::Opened;
use crate::{
    archive::{detail, store::Store},
    command::Job,
    frames::{
        manifest::{DETAIL, Manifest},
        segment::Line,
    },
};

/// The argument of whatever reads rows.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::command) struct IdentityArgs {
    /// The file with the identities that open an encrypted archive, as age-keygen makes them; else archive_identity
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl IdentityArgs {
    /// The archive's objects, of which those that are encrypted are opened.
    ///
    /// # Errors
    /// The file cannot be read, or has no identity.
    pub(in crate::command) fn open(&self, job: &Job, store: Store) -> Result<Store, Failure> {
        let file = self.identity.as_deref();
        let file = file.or(job.config.archive_identity.as_deref());
        let opened = store.opened_by(file);
        Ok(opened.context("nothing was done: the archive cannot be opened")?)
    }

    /// The archive, of which what is encrypted is opened.
    ///
    /// # Errors
    /// As [`IdentityArgs::open`].
    pub(in crate::command) fn opens(&self, job: &Job, opened: Opened) -> Result<Opened, Failure> {
        Ok(Opened {
            store: self.open(job, opened.store)?,
            ..opened
        })
    }
}

/// Checks that all of these segments can be opened. So that is told before anything is made, although it is read last.
pub(in crate::command) fn fits(
    archive: &ArchiveConfig,
    opened: &Opened,
    segments: &[&Line],
) -> Result<(), Failure> {
    for line in segments {
        let fits = opened.store.identities().fit(&line.sealed);
        let name = line.name();
        fits.with_context(|| format!("nothing was done: archive {}: {name}", archive.name))?;
    }
    Ok(())
}

/// A base's manifest with what it leaves out where the base is encrypted.
pub(in crate::command) fn whole(
    archive: &ArchiveConfig,
    opened: &Opened,
    manifest: &Manifest,
) -> Result<Manifest, Failure> {
    let whole = detail::whole(&opened.store, manifest);
    let path = manifest.base.path(DETAIL);
    Ok(whole.with_context(|| format!("nothing was done: archive {}: {path}", archive.name))?)
}
