//! What `add` knows of each subscriber, and the result for the tables.

use std::collections::{HashMap, HashSet};

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
};
use sql::{connect::Session, name::TableName, subscriber::table_state::TableRow};

use crate::command::{Job, subscriber::Opened};

/// One subscriber as `add` sees it.
pub(super) struct AddSubscriber<'a> {
    pub(super) config: &'a SubscriberConfig,
    pub(super) session: Session,
    /// Tables that the subscriber replicates already.
    pub(super) known: HashMap<TableName, TableRow>,
    /// Tables that were made; with `--dry-run` tables that would be made.
    pub(super) created: HashSet<TableName>,
}

impl<'a> AddSubscriber<'a> {
    pub(super) async fn open(
        job: &Job,
        provider: &Session,
        config: &'a SubscriberConfig,
    ) -> Result<AddSubscriber<'a>, Failure> {
        let opened = Opened::of(job, config).await?;
        job.is_followed(provider, config, &opened.session).await?;
        let known = opened.tables().await?.into_iter();
        Ok(AddSubscriber {
            known: known.map(|row| (row.table.clone(), row)).collect(),
            config,
            session: opened.session,
            created: HashSet::new(),
        })
    }
}

/// The result for the tables.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) added: usize,
    /// The tables that were added, or are replicated as wished already.
    pub(super) tables: Vec<TableName>,
    pub(super) refused: usize,
    pub(super) busy: usize,
}

impl Tally {
    pub(super) fn exit(&self, all: bool) -> Exit {
        if self.busy > 0 && self.refused == 0 && self.added == 0 {
            return Exit::TimedOut;
        }
        match (self.refused + self.busy, self.added) {
            (0, _) => Exit::Done,
            (_, 0) if !all => Exit::Failed,
            _ => Exit::Part,
        }
    }

    pub(super) fn busy(&mut self, table: &TableName) {
        self.busy += 1;
        eprintln!("not added: {table}: others hold locks on it on the provider, try again later");
    }

    pub(super) fn refuse(&mut self, table: &TableName, why: &str) {
        self.refused += 1;
        eprintln!("not added: {table}: {why}");
    }
}
