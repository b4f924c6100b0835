//! What must be known of a subscriber's table to write it. One function here calls one function of the subscriber.

use tokio_postgres::{GenericClient, Row, types::Type};

use crate::{error::Error, name::TableName};

/// A column of a subscriber's table, as `trunkline.target_columns` gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetColumn {
    /// The column's name.
    pub name: String,
    /// The column's type as `format_type` names it, without modifiers, as events do.
    pub type_name: String,
    /// The column's type with its schema, without modifiers, for use in SQL.
    pub written_as: String,
    /// The column's type as a definition says it, with modifiers and collation.
    pub declared: String,
    /// The oid of the column's type.
    pub declared_type: u32,
    /// The type that the values are staged as, with its oid, if reading one may run code of a role that is neither a
    /// superuser nor the session's; none: the column's own type.
    pub staged: Option<(String, u32)>,
    /// The values are staged as text, because a type that may run code is within the column's type.
    pub opaque: bool,
    /// The table computes the column itself: it is never written.
    pub generated: bool,
    /// UPDATE cannot set the column.
    pub identity_always: bool,
    /// The column never is NULL.
    pub not_null: bool,
    /// The equality of the column's values, as `operator(schema.name)`; none if there is none.
    pub equal_operator: Option<String>,
    /// The oids of the unique indexes that the column is a key column of, and that can be a key of the table.
    pub unique_keys: Vec<u32>,
    /// The table is partitioned.
    pub partitioned: bool,
}

impl TargetColumn {
    fn of(row: &Row) -> Result<TargetColumn, tokio_postgres::Error> {
        let staged: Option<String> = row.try_get(5)?;
        Ok(TargetColumn {
            name: row.try_get(0)?,
            type_name: row.try_get(1)?,
            written_as: row.try_get(2)?,
            declared: row.try_get(3)?,
            declared_type: row.try_get(4)?,
            staged: staged.zip(row.try_get::<_, Option<u32>>(6)?),
            opaque: row.try_get(7)?,
            generated: row.try_get(8)?,
            identity_always: row.try_get(9)?,
            not_null: row.try_get(10)?,
            equal_operator: row.try_get(11)?,
            unique_keys: row.try_get(12)?,
            partitioned: row.try_get(13)?,
        })
    }
}

/// The columns of a table in the table's order; empty if there is no such table. Source: `trunkline.target_columns`.
///
/// # Errors
/// [`Error::Database`] if the function cannot be called.
pub async fn columns(
    client: &impl GenericClient,
    table: &TableName,
) -> Result<Vec<TargetColumn>, Error> {
    client
        .query_typed(
            "select column_name, type_name, written_as, declared, declared_type, staged, staged_type, opaque, \
                    generated, identity_always, not_null, equal_operator, unique_keys, partitioned \
             from trunkline.target_columns($1, $2)",
            &[(&table.schema, Type::TEXT), (&table.name, Type::TEXT)],
        )
        .await
        .and_then(|rows| rows.iter().map(TargetColumn::of).collect())
        .map_err(Error::database(format!("read the columns of {table}")))
}

/// The facts of a table beside its columns, as `trunkline.target_facts` gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// COPY has the same effect on the table as INSERT.
    pub takes_copy: bool,
    /// Another table of the provider that is written to the table with that name by choice.
    pub other: Option<String>,
}

/// The facts of a table that the provider's table with the oid `provider_oid` is written to. Source:
/// `trunkline.target_facts`.
///
/// # Errors
/// [`Error::Database`] if the function cannot be called.
pub async fn facts(
    client: &impl GenericClient,
    table: &TableName,
    provider_oid: u32,
) -> Result<TargetFacts, Error> {
    client
        .query_typed_one(
            "select takes_copy, other from trunkline.target_facts($1, $2, $3)",
            &[
                (&table.schema, Type::TEXT),
                (&table.name, Type::TEXT),
                (&provider_oid, Type::OID),
            ],
        )
        .await
        .and_then(|row| {
            Ok(TargetFacts {
                takes_copy: row.try_get(0)?,
                other: row.try_get(1)?,
            })
        })
        .map_err(Error::database(format!("read the rules of {table}")))
}

/// What acts when an ordinary session writes a table, as `trunkline.ordinary_writing` gives it. By default nothing
/// does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrdinaryWriting {
    /// The table's oid; 0 if there is no such table.
    pub relation: u32,
    /// The triggers, rules and foreign keys that would act a second time, for a person; none: nothing would.
    pub acts: Option<String>,
    /// The oids of the tables that the table's foreign keys refer to, without the table itself.
    pub refers_to: Vec<u32>,
    /// The table has a foreign key that refers to the table itself.
    pub to_itself: bool,
}

/// What acts when an ordinary session writes a table. Source: `trunkline.ordinary_writing`.
///
/// # Errors
/// [`Error::Database`] if the function cannot be called.
pub async fn ordinary_writing(
    client: &impl GenericClient,
    table: &TableName,
) -> Result<OrdinaryWriting, Error> {
    client
        .query_typed_one(
            "select coalesce(relation, 0), refusal, refers_to, to_itself \
             from trunkline.ordinary_writing($1, $2)",
            &[(&table.schema, Type::TEXT), (&table.name, Type::TEXT)],
        )
        .await
        .and_then(|row| {
            Ok(OrdinaryWriting {
                relation: row.try_get(0)?,
                acts: row.try_get(1)?,
                refers_to: row.try_get(2)?,
                to_itself: row.try_get(3)?,
            })
        })
        .map_err(Error::database(format!(
            "read the triggers and foreign keys of {table}"
        )))
}

/// The number of a table's rows, and the sum over these columns of them as text. The rows are read with the rights of
/// the role with the oid `role`; none: with the session's. Source: `trunkline.digest_as`.
///
/// # Errors
/// [`Error::Database`] if the rows cannot be read.
pub async fn digest_as(
    client: &impl GenericClient,
    table: &TableName,
    columns: &[String],
    role: Option<u32>,
) -> Result<(i64, String), Error> {
    client
        .query_one(
            "select rows, sum::text from trunkline.digest_as($1, $2, $3, $4)",
            &[&table.schema, &table.name, &columns, &role],
        )
        .await
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .map_err(Error::database(format!("read the rows of {table}")))
}

/// What to do where code of the subscriber's table did not find what it names, because a schema of the database's
/// `search_path` is not used with replay's rights; none: that is not the reason. `table` is the provider's table.
/// Source: `trunkline.path_advice`.
///
/// # Errors
/// [`Error::Database`] if the function cannot be called.
pub async fn path_advice(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
) -> Result<Option<String>, Error> {
    client
        .query_typed_one(
            "select trunkline.path_advice($1, $2, $3)",
            &[
                (&consumer, Type::TEXT),
                (&table.schema, Type::TEXT),
                (&table.name, Type::TEXT),
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("look for what a table lacks"))
}
