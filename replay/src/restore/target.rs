//! What is restored, and into which database.

use admin::{config::ReplayConfig, exit::Failure};
use sql::{
    connect::{ApplicationName, ConnectInfo, Purpose, Session},
    install::ownership::Schema,
    name::TableName,
};

use super::heir::Heir;
use crate::{
    archive::store::Store,
    files::batches::UpTo,
    frames::manifest::{Manifest, Table},
};

/// A restore that is planned.
pub(crate) struct Restoring<'a> {
    /// The job.
    pub config: &'a ReplayConfig,
    /// The archive's consumer.
    pub archive: &'a str,
    /// The archive.
    pub store: &'a Store,
    /// The base.
    pub manifest: &'a Manifest,
    /// The target.
    pub up_to: UpTo,
    /// The target is on a branch, which is read to its end.
    pub on_branch: bool,
    /// The database.
    pub into: &'a ConnectInfo,
    /// The restore's own consumer.
    pub consumer: &'a str,
    /// The tables with rows, and what they are called in the database.
    pub tables: Vec<(&'a Table, TableName)>,
    /// All of the base is restored, with its schema; else tables that are like those.
    pub is_whole: bool,
    /// Sessions that work at the same time.
    pub streams: usize,
    /// Owners and rights are left out.
    pub no_owner: bool,
    /// Schema trunkline was in the database before.
    pub had_schema: bool,
    /// Who goes on with the database; none: it is an ordinary one.
    pub heir: Option<&'a Heir<'a>>,
}

impl Restoring<'_> {
    /// A session to the database.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let name = ApplicationName::new(Purpose::Restore, &self.config.daemon.job_name);
        Ok(self.into.connect_for(&name, Schema::SUBSCRIBER).await?)
    }
}
