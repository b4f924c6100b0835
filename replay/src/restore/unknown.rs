//! Tables that frames name and the base has not: those of the archive are not restored, which is told; those of another
//! subscriber are none of it. What a base has left out says nothing of later, and frames do not say whose a table is:
//! the provider does.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, Purpose},
    install::ownership::Schema,
    name::TableName,
    provider::{self, Capture},
    subscriber::position::Position,
};

use super::target::Restoring;

/// Tables that frames name and the base has not.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    /// Those that the archive keeps, or may keep, each with what is known of it: they are not restored.
    pub lacking: Vec<(TableName, String)>,
    /// Those that only another subscriber has, now as when the base was made.
    pub of_others: Vec<TableName>,
}

impl Restoring<'_> {
    /// Sorts the tables. The provider is asked only where the base has left out one of them, and need not answer: what
    /// is not known then is not taken for good.
    pub(super) async fn sorted(&self, found: BTreeMap<u32, TableName>, at: Position) -> Unknown {
        let is_left_out = |table: &TableName| {
            let what = format!("table {table}");
            self.manifest.left_out.iter().any(|one| one.what == what)
        };
        let kept = match found.values().any(is_left_out) {
            true => self.kept_now(at).await,
            false => Ok(Vec::new()),
        };
        let mut unknown = Unknown::default();
        for (oid, table) in found {
            let since = "the archive keeps it since after the base";
            let why = match (is_left_out(&table), &kept) {
                (false, _) => since.to_owned(),
                (true, Ok(kept)) if keeps(kept, oid, &table) => since.to_owned(),
                (true, Ok(_)) => {
                    unknown.of_others.push(table);
                    continue;
                }
                (true, Err(error)) => format!(
                    "the archive did not keep it when the base was made, and whether it does now is not \
                     known: {error:#}"
                ),
            };
            unknown.lacking.push((table, why));
        }
        unknown.of_others.sort();
        unknown.of_others.dedup();
        unknown.lacking.sort();
        unknown.lacking.dedup();
        unknown
    }

    /// What the archive keeps now, by the provider.
    async fn kept_now(&self, at: Position) -> anyhow::Result<Vec<Capture>> {
        let name = ApplicationName::new(Purpose::Restore, &self.config.daemon.job_name);
        let provider = self.config.provider.connect_for(&name, Schema::PROVIDER);
        let provider = provider.await.context("the provider cannot be asked")?;
        let queue = &self.config.queue;
        let epoch = provider::queue_epoch(&*provider, queue).await?;
        if epoch != Some(at.epoch) {
            return Err(anyhow!(
                "the provider has another queue than the one that was reached"
            ));
        }
        let mut kept = provider::captures(&*provider, Some(queue)).await?;
        kept.retain(|one| one.is_table_of(self.archive));
        Ok(kept)
    }
}

/// Whether a table is one of these, whatever it is called by now. Pure.
fn keeps(kept: &[Capture], oid: u32, table: &TableName) -> bool {
    kept.iter().any(|one| one.oid == oid || one.name == *table)
}
