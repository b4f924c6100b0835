//! `replay missing`: tables of the provider that this job does not replicate.

use std::collections::HashSet;

use admin::{
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{
    name::TableName,
    provider::{self, WantedIdentity},
    table_state,
};

use super::{Job, label, stored};

/// Runs the command: one line a table, with why it cannot be added, if so.
pub(crate) async fn run(job: &Job) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let candidates = provider::candidates(&*provider, job.queue(), &WantedIdentity::Own)
        .await
        .context("could not list the provider's tables")?;
    let mut everywhere: Option<HashSet<TableName>> = None;
    for one in job.subscribers(None)? {
        let subscriber = job.subscriber(one).await?;
        stored(&subscriber, one).await?;
        let here: HashSet<TableName> = table_state::list(&*subscriber, &one.consumer)
            .await
            .with_context(|| format!("could not read the tables of {}", label(one)))?
            .into_iter()
            .map(|row| row.table)
            .collect();
        everywhere = Some(match everywhere {
            None => here,
            Some(others) => others.intersection(&here).cloned().collect(),
        });
    }
    let replicated = everywhere.unwrap_or_default();
    for candidate in candidates {
        if candidate.is_part || replicated.contains(&candidate.table) {
            continue;
        }
        let line = match candidate.refusal {
            None => candidate.table.to_string(),
            Some((reason, _)) => format!("{} ({reason})", candidate.table),
        };
        output::print(&format!("{line}\n"))?;
    }
    Ok(Exit::Done)
}
