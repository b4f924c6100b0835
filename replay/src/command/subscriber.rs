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
    /// Connects. If the job is not installed on the subscriber, the error says so.
    pub(crate) async fn of(job: &Job, config: &'a SubscriberConfig) -> Result<Opened<'a>, Failure> {
        let session = job.subscriber(config).await?;
        let stored = stored(&session, config).await?;
        job.is_of_queue(config, &stored)?;
        Ok(Opened { config, session })
    }

    /// All the subscriber's tables.
    pub(crate) async fn tables(&self) -> Result<Vec<TableRow>, Failure> {
        let rows = table_state::list(&*self.session, &self.config.consumer).await;
        Ok(rows.with_context(|| format!("could not read the tables of {}", label(self.config)))?)
    }

    /// The subscriber's tables that the choice means.
    pub(crate) async fn chosen(&self, choice: &Choice<'_>) -> Result<Chosen<TableRow>, Failure> {
        Ok(choice.of(self.tables().await?, |row| &row.table))
    }
}

/// The exit code of a command that could not do everything: all of it was refused, or a part.
pub(crate) fn exit(refused: usize, done: usize) -> Exit {
    match (refused, done) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Part,
    }
}
