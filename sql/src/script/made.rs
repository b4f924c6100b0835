//! What a script has made: the tables and sequences of users that are there after it, and were not before.

use std::collections::HashSet;

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// The tables and sequences of users in a database, by their oids.
#[derive(Clone, Debug, Default)]
pub struct Relations(HashSet<u32>);

impl Relations {
    /// Those that are there now.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn read(client: &impl GenericClient) -> Result<Relations, Error> {
        let now = relations(client).await?;
        Ok(Relations(now.into_iter().map(|(oid, _, _)| oid).collect()))
    }

    /// Those that have come since, each as `table` or `sequence`, with its name; partitions are not among them.
    ///
    /// # Errors
    /// Those of the server.
    pub async fn made_since(
        &self,
        client: &impl GenericClient,
    ) -> Result<Vec<(String, TableName)>, Error> {
        let now = relations(client).await?.into_iter();
        let made = now.filter(|(oid, _, _)| !self.0.contains(oid));
        Ok(made.map(|(_, kind, name)| (kind, name)).collect())
    }
}

async fn relations(client: &impl GenericClient) -> Result<Vec<(u32, String, TableName)>, Error> {
    let read = async || -> Result<_, tokio_postgres::Error> {
        let rows = client
            .query(
                "select c.oid, case c.relkind when 'S' then 'sequence' else 'table' end, n.nspname, c.relname \
                   from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where c.relkind in ('r', 'p', 'S') and not c.relispartition and c.relpersistence = 'p' \
                    and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'trunkline') \
                  order by n.nspname, c.relname",
                &[],
            )
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let name = TableName::new(row.try_get::<_, String>(2)?, row.try_get::<_, String>(3)?);
            found.push((row.try_get(0)?, row.try_get(1)?, name));
        }
        Ok(found)
    };
    read()
        .await
        .map_err(Error::database("read the tables and sequences"))
}
