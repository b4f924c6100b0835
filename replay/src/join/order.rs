//! The order in which tables are added: the daemon begins to copy a table while the next table is added.

use std::collections::HashMap;

use admin::exit::Failure;
use sql::{
    connect::Session,
    name::TableName,
    provider::{self, Candidate},
    subscriber::foreign_keys,
};

/// Where foreign keys are enforced, a copy waits for the tables that its foreign keys refer to, if the subscriber knows
/// of them. So the tables that are referred to are added first, and of the others the largest.
pub(crate) async fn parents_first(
    subscribers: impl Iterator<Item = &Session>,
    candidates: &mut [Candidate],
) -> Result<(), Failure> {
    let mut depths: HashMap<TableName, i32> = HashMap::new();
    for subscriber in subscribers {
        let here = foreign_keys::depths(&**subscriber).await?;
        for (table, depth) in here {
            let known = depths.entry(table).or_default();
            *known = depth.max(*known);
        }
    }
    candidates.sort_by_key(|one| depths.get(&one.table).copied());
    Ok(())
}

/// The largest table is added first, because its copy takes longest; the daemon begins it while the next one is added.
pub(crate) async fn largest_first(
    provider: &Session,
    candidates: &mut [Candidate],
) -> Result<(), Failure> {
    let oids: Vec<u32> = candidates.iter().map(|one| one.oid).collect();
    let sizes: HashMap<u32, i64> = provider::table_sizes(&**provider, &oids)
        .await?
        .into_iter()
        .map(|size| (size.table_oid, size.bytes))
        .collect();
    // A table that was dropped meanwhile has no size; it is refused in its turn.
    let bytes = |one: &Candidate| sizes.get(&one.oid).map_or(0, |bytes| *bytes);
    candidates.sort_by(|one, other| {
        let by_size = bytes(other).cmp(&bytes(one));
        by_size.then_with(|| one.table.cmp(&other.table))
    });
    Ok(())
}
