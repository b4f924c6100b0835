//! What the subscriber's tables, indexes and constraints are like. Reads the catalog.

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName};

/// Whether there is an index with the name `index`, and one of the `statements` would make it as it is.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn is_index_made_by(
    client: &impl GenericClient,
    index: &TableName,
    statements: &[String],
) -> Result<bool, Error> {
    client
        .query_one(
            "select coalesce(pg_get_indexdef(to_regclass($1)) = any ($2), false)",
            &[&index.quoted(), &statements],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read index {index}")))
}

/// Whether a table has a constraint with a name. False if there is no such table.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn has_constraint(
    client: &impl GenericClient,
    table: &TableName,
    constraint: &str,
) -> Result<bool, Error> {
    client
        .query_one(
            "select exists (select from pg_constraint \
                 where conrelid = to_regclass($1) and conname = $2)",
            &[&table.quoted(), &constraint],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read constraints of {table}")))
}

/// The columns of a table that need a value in each row, without those named in `written`, in the table's order. Empty
/// if there is no such table.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn unfilled_columns(
    client: &impl GenericClient,
    table: &TableName,
    written: &[&String],
) -> Result<Vec<String>, Error> {
    client
        .query_one(
            "select array(select a.attname::text from pg_attribute a \
                           where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped \
                             and a.attnotnull and not a.atthasdef and a.attidentity = '' \
                             and a.attname <> all ($2::text[]) order by a.attnum)",
            &[&table.quoted(), &written],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read the columns of {table}")))
}

/// Whether a table, or a partition of it, has triggers of capture.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn is_captured(client: &impl GenericClient, table: &TableName) -> Result<bool, Error> {
    client
        .query_one(
            "with recursive tree as ( \
                 select to_regclass($1)::oid as oid \
                 union all \
                 select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid \
                   join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition) \
             select exists (select from tree join pg_catalog.pg_trigger t on t.tgrelid = tree.oid \
                              join pg_catalog.pg_proc p on p.oid = t.tgfoid \
                              join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
                             where n.nspname = 'trunkline' and not t.tgisinternal)",
            &[&table.quoted()],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("read the triggers of {table}")))
}

/// Why capture cannot log what a job writes to a captured table; none if it can. Source: `trunkline.relay_refusal`.
///
/// # Errors
/// [`Error::Database`] if the function cannot be called.
pub async fn relay_refusal(
    client: &impl GenericClient,
    table: &TableName,
) -> Result<Option<String>, Error> {
    let failed = || Error::database(format!("ask whether {table} can be replicated on"));
    if !has_function(client, "trunkline.set_writers(oid)").await? {
        return Ok(Some(
            "its capture is of an older version (run `ticker install` there first)".into(),
        ));
    }
    let row = client
        .query_opt(
            "select concat(r.reason, ' (' || r.hint || ')') \
               from trunkline.relay_refusal(trunkline.captured_root(to_regclass($1)), array['this one']) r",
            &[&table.quoted()],
        )
        .await
        .map_err(failed())?;
    row.map(|row| row.try_get(0)).transpose().map_err(failed())
}

/// Whether capture in this database, if there is any, has this function, as in `trunkline.log_own(text, oid)`: it may
/// be older than replay.
pub(crate) async fn has_function(
    client: &impl GenericClient,
    function: &str,
) -> Result<bool, Error> {
    client
        .query_one("select to_regprocedure($1) is not null", &[&function])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for a function of capture"))
}
