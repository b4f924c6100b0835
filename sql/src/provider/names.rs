//! The names of the provider's tables: a job identifies a table by its oid, because people rename tables.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// The name that a table has now; none: the table is gone.
pub async fn table_name(client: &impl GenericClient, oid: u32) -> Result<Option<TableName>, Error> {
    client
        .query_opt(
            "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1",
            &[&oid],
        )
        .await
        .map_err(Error::database("read a table's name on the provider"))?
        .map(|row| TableName::of(&row))
        .transpose()
        .map_err(Error::database("read a table's name on the provider"))
}

/// The names that tables have now, by their oids. For a table that is gone, the last name that capture knows, if any.
pub async fn last_names(
    client: &impl GenericClient,
    oids: &[u32],
) -> Result<HashMap<u32, TableName>, Error> {
    let rows = client
        .query(
            "select distinct on (t.oid) t.name_schema, t.name_table, t.oid from ( \
                 select n.nspname::text, c.relname::text, c.oid, null::int8 \
                   from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = any ($1) \
                 union all \
                 select s.definition -> 'table' ->> 'schema', s.definition -> 'table' ->> 'name', \
                     s.table_oid, s.shape_id \
                   from trunkline.shape s where s.table_oid = any ($1) \
             ) t (name_schema, name_table, oid, shape_id) \
             where t.name_table is not null order by t.oid, t.shape_id desc nulls first",
            &[&oids],
        )
        .await
        .map_err(Error::database("read the names of tables on the provider"))?;
    rows.iter()
        .map(|row| Ok((row.try_get(2)?, TableName::of(row)?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read the names of tables on the provider"))
}
