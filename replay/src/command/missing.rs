//! `replay missing`: tables of the provider that this job does not replicate, and those whose columns a subscriber
//! cannot take.

use std::collections::HashSet;

use admin::{
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    name::TableName,
    provider::{self, Candidate, WantedIdentity},
    table_state::{self, Existing},
};

use super::{Job, fit, label, stored};

/// Runs the command: one line a table, with why it cannot be added, if so.
pub(crate) async fn run(job: &Job) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    let candidates = provider::candidates(&*provider, job.queue(), &WantedIdentity::Own)
        .await
        .context("could not list the provider's tables")?;
    let mut everywhere: Option<HashSet<TableName>> = None;
    let mut subscribers = Vec::new();
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
        subscribers.push((label(one), subscriber));
    }
    let replicated = everywhere.unwrap_or_default();
    for candidate in candidates {
        if candidate.is_part {
            continue;
        }
        let table = &candidate.table;
        let known = replicated.contains(table);
        let why = match &candidate.refusal {
            Some((reason, _)) => Some(reason.clone()),
            None => misfit(&provider, &subscribers, &candidate, known).await?,
        };
        let line = match (known, why) {
            (true, None) => continue,
            (true, Some(why)) => format!("{table} (replicated, but {why})"),
            (false, None) => table.to_string(),
            (false, Some(why)) => format!("{table} ({why})"),
        };
        output::print(&format!("{line}\n"))?;
    }
    Ok(Exit::Done)
}

/// Why a subscriber cannot take a table's rows as they are now: the first reason of the first one. That a table is not
/// there yet is a reason only if it is replicated: `add --create` makes it.
async fn misfit(
    provider: &Session,
    subscribers: &[(String, Session)],
    candidate: &Candidate,
    known: bool,
) -> anyhow::Result<Option<String>> {
    let table = &candidate.table;
    let types = provider::captured_types(&**provider, candidate.oid)
        .await
        .with_context(|| format!("could not read the columns of {table}"))?;
    let names: Vec<String> = types.iter().map(|(name, _)| name.clone()).collect();
    for (place, subscriber) in subscribers {
        if !known && fit::is_absent(subscriber, place, table).await? {
            continue;
        }
        // Rows that are there are no misfit: Trust looks at the columns alone.
        let why = fit::refusal(subscriber, place, candidate, &names, Existing::Trust).await?;
        let why = match why {
            Some(why) => Some(why),
            None => fit::types(subscriber, place, table, &types).await?.refusal,
        };
        if why.is_some() {
            return Ok(why);
        }
    }
    Ok(None)
}
