//! Who made a database's schema pgq: Trunkline or PgQ. Reads the catalog only.

use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::install::ownership::{self, Schema};

/// Who made the schema pgq of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Trunkline: schema pgq is ours.
    Trunkline,
    /// PgQ 3, which has the same functions for ticking and maintenance, and none of those that we added.
    PgQ,
}

/// The maker of this database's schema pgq; None: there is no schema pgq that can be ticked. Source: the catalog.
///
/// # Errors
/// [`Error::Stranger`] where the schema belongs to a role that may not act as this session's role.
pub async fn maker(client: &impl GenericClient) -> Result<Option<Maker>, Error> {
    if ownership::prove(client, Schema::QUEUE).await?.is_empty() {
        return Ok(None);
    }
    let row = client
        .query_one(
            "select pg_catalog.to_regprocedure('pgq.queues_to_tick(text)') is not null, \
                    pg_catalog.to_regprocedure('pgq.ticker(text)') is not null \
                    and pg_catalog.to_regprocedure('pgq.maint_operations()') is not null",
            &[],
        )
        .await
        .map_err(Error::database("look for schema pgq"))?;
    Ok(if column(&row, 0)? {
        Some(Maker::Trunkline)
    } else if column(&row, 1)? {
        Some(Maker::PgQ)
    } else {
        None
    })
}

/// Whether this database has a schema pgq of ours; schema trunkline, if it is there, is proven as well. Source: the
/// catalog.
///
/// # Errors
/// As [`maker`], for both schemas.
pub async fn is_installed(client: &impl GenericClient) -> Result<bool, Error> {
    ownership::prove(client, Schema::PROVIDER).await?;
    Ok(maker(client).await? == Some(Maker::Trunkline))
}
