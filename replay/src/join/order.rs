//! In which order tables are added: the daemon begins with one while the next is added.

use std::collections::HashMap;

use admin::exit::Failure;
use anyhow::Context as _;
use sql::{
    connect::Session,
    name::TableName,
    provider::{self, Candidate},
};

use crate::apply::origin;

/// Where foreign keys are enforced a copy waits for the tables that they ask for, if it knows of
/// them: those are added first, and of others the largest.
pub(crate) async fn parents_first(
    subscribers: impl Iterator<Item = &Session>,
    candidates: &mut [Candidate],
) -> Result<(), Failure> {
    let mut depths: HashMap<TableName, i32> = HashMap::new();
    for subscriber in subscribers {
        let here = origin::depths(&**subscriber)
            .await
            .context("could not read the subscriber's foreign keys")?;
        for (table, depth) in here {
            let known = depths.entry(table).or_default();
            *known = depth.max(*known);
        }
    }
    candidates.sort_by_key(|one| depths.get(&one.table).copied());
    Ok(())
}

/// The daemon begins with a table while the next one is added; the largest takes longest.
pub(crate) async fn largest_first(
    provider: &Session,
    candidates: &mut [Candidate],
) -> Result<(), Failure> {
    let oids: Vec<u32> = candidates.iter().map(|one| one.oid).collect();
    let sizes: HashMap<u32, i64> = provider::table_sizes(&**provider, &oids)
        .await
        .context("could not read the sizes of the provider's tables")?
        .into_iter()
        .map(|size| (size.table_oid, size.bytes))
        .collect();
    // One that was dropped meanwhile has no size; it is refused in its turn.
    let bytes = |one: &Candidate| sizes.get(&one.oid).map_or(0, |bytes| *bytes);
    candidates.sort_by(|one, other| {
        let by_size = bytes(other).cmp(&bytes(one));
        by_size.then_with(|| one.table.cmp(&other.table))
    });
    Ok(())
}
