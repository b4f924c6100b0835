//! How large the tables that wait for their copy are on the provider.

use std::collections::HashMap;

use sql::{
    connect::Session,
    provider,
    subscriber::table_state::{self, Stand, TableRow},
};

use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// The sizes in bytes, by the tables' oids on the provider.
#[derive(Default)]
pub(super) struct Sizes(HashMap<u32, i64>);

impl Sizes {
    /// A table's size; 0 for a table whose size is not known.
    pub(super) fn of(&self, oid: u32) -> i64 {
        self.0.get(&oid).copied().unwrap_or_default()
    }

    /// Asks how large the tables are whose copy has not begun, each table once, and stores how many rows they have, for
    /// showing.
    pub(super) async fn measure(
        &mut self,
        sub: &Subscription,
        provider: &Session,
        subscriber: &Session,
        rows: &[TableRow],
    ) -> Result<(), Trouble> {
        let wanted: HashMap<u32, &TableRow> = rows
            .iter()
            .filter(|row| row.stand == Stand::Waiting)
            .map(|row| (row.provider_oid, row))
            .collect();
        self.0.retain(|oid, _| wanted.contains_key(oid));
        let new: Vec<u32> = wanted
            .keys()
            .filter(|oid| !self.0.contains_key(oid))
            .copied()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let sizes = provider::table_sizes(&**provider, &new).await?;
        for size in sizes {
            self.0.insert(size.table_oid, size.bytes);
            let Some(row) = wanted.get(&size.table_oid) else {
                continue;
            };
            table_state::show_progress(
                &**subscriber,
                &sub.consumer,
                &row.table,
                0,
                0,
                Some(size.rows_estimated),
            )
            .await?;
        }
        // A table that does not exist has no size, and is not asked about again.
        for oid in new {
            self.0.entry(oid).or_insert(0);
        }
        Ok(())
    }
}
