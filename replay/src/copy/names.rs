//! The names of the subscriber's tables after renames on the provider. A table's rows go to the table of its present
//! name, while the job's own row keeps the name that the table was added under. Reads the provider.

use std::collections::HashMap;

use sql::{name::TableName, provider, subscriber::table_state::TableRow};
use tokio_postgres::Client;

/// The names that tables of the provider have now, by their oids.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<u32, TableName>);

impl Names {
    /// Asks the provider, once for all rows.
    pub(crate) async fn read<'a>(
        provider: &Client,
        rows: impl IntoIterator<Item = &'a TableRow>,
    ) -> Result<Names, sql::Error> {
        let oids: Vec<u32> = rows
            .into_iter()
            .filter(|row| row.mapping.target.is_none())
            .map(|row| row.provider_oid)
            .collect();
        if oids.is_empty() {
            return Ok(Names::default());
        }
        provider::last_names(provider, &oids).await.map(Names)
    }

    /// The subscriber's table: the target that was given to `add`, else the table of the present name.
    pub(crate) fn target<'a>(&'a self, row: &'a TableRow) -> &'a TableName {
        match row.mapping.target {
            None => self.0.get(&row.provider_oid).unwrap_or(row.target()),
            Some(_) => row.target(),
        }
    }
}

#[cfg(test)]
impl Names {
    pub(super) fn of(oid: u32, name: TableName) -> Names {
        Names(HashMap::from([(oid, name)]))
    }
}
