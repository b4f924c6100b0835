//! A subscriber as commands on its tables see it: connected, with the job installed, and the tables
//! that a command line chooses.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    subscriber::table_state::{self, TableRow},
};

use super::{Job, label, stored};
use crate::join::choose::{Choice, Chosen};

/// A subscriber that was connected to.
pub(crate) struct Opened<'a> {
    /// Its config.
    pub(crate) config: &'a SubscriberConfig,
    /// The session.
    pub(crate) session: Session,
}

impl<'a> Opened<'a> {
    /// Connects. A subscriber that the job is not installed on is an error that says so.
    pub(crate) async fn of(job: &Job, config: &'a SubscriberConfig) -> Result<Opened<'a>, Failure> {
        let session = job.subscriber(config).await?;
        let stored = stored(&session, config).await?;
        job.is_of_queue(config, &stored)?;
        Ok(Opened { config, session })
    }

    /// All its tables.
    pub(crate) async fn tables(&self) -> Result<Vec<TableRow>, Failure> {
        let rows = table_state::list(&*self.session, &self.config.consumer).await;
        Ok(rows.with_context(|| format!("could not read the tables of {}", label(self.config)))?)
    }

    /// Those of its tables that are meant.
    pub(crate) async fn chosen(&self, choice: &Choice<'_>) -> Result<Chosen<TableRow>, Failure> {
        Ok(choice.of(self.tables().await?, |row| &row.table))
    }
}

/// How a command ends that could not do all: nothing of it, or a part.
pub(crate) fn exit(refused: usize, done: usize) -> Exit {
    match (refused, done) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Part,
    }
}
