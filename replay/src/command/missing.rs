//! `replay missing`: lists tables of the provider that this job does not replicate, replicated tables with columns that
//! a subscriber cannot take, and sequences of replicated tables that are not carried over.

use std::collections::{BTreeSet, HashMap, HashSet};

use admin::{
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use sql::{
    connect::Session,
    event::mapping::Mapping,
    name::TableName,
    provider::{self, Candidate, WantedIdentity},
    subscriber::{
        session_role::SessionRole,
        table_state::{self, Existing},
    },
};

use super::{Job, archive, label, subscriber::Opened};
use crate::join::fit::{self, Wish};

/// Runs the command: one line a table, with the reason if the table cannot be added.
pub(crate) async fn run(job: &Job) -> Result<Exit, Failure> {
    let provider = job.provider().await?;
    job.has_queue(&provider).await?;
    let candidates = provider::candidates(&*provider, job.queue(), &WantedIdentity::Own).await?;
    let mut everywhere: Option<HashSet<TableName>> = None;
    let mut subscribers = Vec::new();
    let takers = job.takers(None)?;
    for one in takers.archives {
        let captured = archive::captured(job, &provider, one, false).await?;
        let here = captured.into_iter().map(|capture| capture.name).collect();
        everywhere = Some(among(everywhere, here));
    }
    for one in takers.subscribers {
        let subscriber = Opened::of(job, one).await?.session;
        let mappings: HashMap<TableName, Mapping> = table_state::list(&*subscriber, &one.consumer)
            .await
            .with_context(|| format!("could not read the tables of {}", label(one)))?
            .into_iter()
            .map(|row| (row.table, row.mapping))
            .collect();
        let here: HashSet<TableName> = mappings.keys().cloned().collect();
        everywhere = Some(among(everywhere, here));
        subscribers.push(SubscriberTables {
            session_role: job.config.session_role,
            place: label(one),
            consumer: &one.consumer,
            session: subscriber,
            mappings,
        });
    }
    // A config has one subscriber at least.
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
    for (sequence, table) in missing_sequences(job, &provider, &subscribers).await? {
        output::print(&format!(
            "{sequence} (a sequence of {table}: replay add-seq)\n"
        ))?;
    }
    Ok(Exit::Done)
}

/// The tables of all subscribers so far that one more has.
fn among(everywhere: Option<HashSet<TableName>>, here: HashSet<TableName>) -> HashSet<TableName> {
    match everywhere {
        None => here,
        Some(others) => others.intersection(&here).cloned().collect(),
    }
}

/// Sequences of replicated tables that some subscriber does not carry over, each with its table.
async fn missing_sequences(
    job: &Job,
    provider: &Session,
    subscribers: &[SubscriberTables<'_>],
) -> anyhow::Result<BTreeSet<(TableName, TableName)>> {
    let mut missing = BTreeSet::new();
    for side in subscribers {
        let tables: Vec<TableName> = side.mappings.keys().cloned().collect();
        let of_tables =
            provider::sequences_of(&**provider, job.queue(), side.consumer, &tables).await?;
        missing.extend(of_tables);
    }
    Ok(missing)
}

/// One subscriber, with the tables that it replicates.
struct SubscriberTables<'a> {
    session_role: SessionRole,
    place: String,
    consumer: &'a str,
    session: Session,
    mappings: HashMap<TableName, Mapping>,
}

/// Why a subscriber cannot take a table's rows as they are now: the first reason of the first subscriber that has one.
/// A missing table is a reason only if it is replicated: `add --create` makes missing tables.
async fn misfit(
    provider: &Session,
    subscribers: &[SubscriberTables<'_>],
    candidate: &Candidate,
    known: bool,
) -> anyhow::Result<Option<String>> {
    let table = &candidate.table;
    let types = provider::captured_types(&**provider, candidate).await?;
    let captured = provider::captured_columns(&**provider, candidate).await?;
    for SubscriberTables {
        session_role,
        place,
        consumer,
        session,
        mappings,
    } in subscribers
    {
        if !known && fit::is_absent(session, place, table).await? {
            continue;
        }
        let all = Mapping::default();
        let wish = Wish {
            candidate,
            captured: &captured,
            mapping: mappings.get(table).unwrap_or(&all),
            // Rows that exist already are no reason: Trust looks at the columns alone.
            existing: Existing::Trust,
            session_role: *session_role,
        };
        let why = match fit::refusal(session, consumer, place, &wish).await? {
            Some(why) => Some(why),
            None => fit::types(session, place, &wish, &types).await?.refusal,
        };
        if why.is_some() {
            return Ok(why);
        }
    }
    Ok(None)
}
