//! What a name stands for in a database, and whether it stands for anything. Reads the catalog.

use tokio_postgres::{GenericClient, Row};

use crate::{error::Error, name::TableName};

/// The object that has a name in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRelation {
    /// The object's kind in words, such as `a view`.
    pub what: String,
    /// The object is a table or a partitioned table.
    pub is_table: bool,
    /// The object is a sequence.
    pub is_sequence: bool,
}

/// The object with a name in this database; none if no object has the name.
pub async fn find(
    client: &impl GenericClient,
    name: &TableName,
) -> Result<Option<NamedRelation>, Error> {
    let row = client.query_opt(FIND, &[&name.schema, &name.name]).await;
    row.and_then(|row| row.as_ref().map(found).transpose())
        .map_err(Error::database(format!("look for {name}")))
}

fn found(row: &Row) -> Result<NamedRelation, tokio_postgres::Error> {
    let kind: String = row.try_get(1)?;
    Ok(NamedRelation {
        what: row.try_get(0)?,
        is_table: matches!(kind.as_str(), "r" | "p"),
        is_sequence: kind == "S",
    })
}

/// Whether there is a relation with a name: a table, a view, an index, a sequence or the like.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn exists(client: &impl GenericClient, name: &TableName) -> Result<bool, Error> {
    client
        .query_one("select to_regclass($1) is not null", &[&name.quoted()])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("look for {name}")))
}

/// For each of the names, in their order, whether there is a relation with it.
///
/// # Errors
/// [`Error::Database`] if the catalog cannot be read.
pub async fn which_exist(
    client: &impl GenericClient,
    names: impl Iterator<Item = &TableName>,
) -> Result<Vec<bool>, Error> {
    let names: Vec<String> = names.map(TableName::quoted).collect();
    client
        .query_one(
            "select array(select to_regclass(name) is not null \
                            from unnest($1::text[]) with ordinality n (name, place) order by place)",
            &[&names],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for tables"))
}

/// The oid of the relation with a name.
///
/// # Errors
/// [`Error::Database`] if there is no such relation, or the catalog cannot be read.
pub async fn oid(client: &impl GenericClient, name: &TableName) -> Result<u32, Error> {
    client
        .query_one("select $1::text::regclass::oid", &[&name.quoted()])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("look for {name}")))
}

/// Finds a relation before a type, because each table has a type with its own name.
const FIND: &str = "\
    select k.what, k.kind from ( \
        select 1 as place, case c.relkind when 'r' then 'a table' \
            when 'p' then 'a partitioned table' when 'v' then 'a view' \
                    when 'm' then 'a materialized view' when 'f' then 'a foreign table' when 'S' then 'a sequence' \
                    when 'i' then 'an index' when 'I' then 'a partitioned index' when 'c' then 'a composite type' \
                    else 'something else' end as what, c.relkind::text as kind \
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = $1 and c.relname = $2 \
        union all \
        select 2, case t.typtype when 'd' then 'a domain' when 'e' then 'an enum type' when 'r' then 'a range type' \
                    when 'm' then 'a multirange type' else 'a type' end, '' \
          from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
         where n.nspname = $1 and t.typname = $2) k \
     order by k.place limit 1";
