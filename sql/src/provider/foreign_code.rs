//! Code of others that planning a query on a provider's table runs. Reads the catalog, through functions of schema
//! trunkline.

use tokio_postgres::{GenericClient, types::Type};

use crate::error::Error;

/// Whether a query on the table, planned by this session, could run code with rights that the code's owner lacks: the
/// session's role is a superuser, and the table, or a part of it, belongs to one who is none.
/// Source: `trunkline.reader`, which only a superuser may ask.
pub async fn may_run(client: &impl GenericClient, table_oid: u32) -> Result<bool, Error> {
    let is_superuser: bool = client
        .query_one(
            "select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask who owns a table on the provider"))?;
    if !is_superuser {
        return Ok(false);
    }
    client
        .query_typed_one(
            "select trunkline.reader($1) <> 'self'",
            &[(&table_oid, Type::OID)],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("ask who owns a table on the provider"))
}

/// The functions that it would run; none: there are none. Who asks holds a lock that keeps such code from coming (SHARE
/// UPDATE EXCLUSIVE). Source: `trunkline.foreign_code`.
pub async fn functions(
    client: &impl GenericClient,
    table_oid: u32,
) -> Result<Option<String>, Error> {
    client
        .query_typed_one(
            "select trunkline.foreign_code($1)",
            &[(&table_oid, Type::OID)],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(
            "ask what reading a table runs on the provider",
        ))
}
