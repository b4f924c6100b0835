//! What must be known of a table to change its columns, from the catalog.

use tokio_postgres::{GenericClient, Row, types::Type};

use crate::{error::Error, name::TableName};

/// A column of the subscriber's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its name.
    pub name: String,
    /// Its type with modifiers, as a shape has it.
    pub type_name: String,
}

/// A type of the subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeHere {
    /// Its name with modifiers, for SQL whatever the search_path is.
    pub written_as: String,
    /// A role that a type within it belongs to, and that is neither a superuser, nor the session's, nor the one that
    /// was asked for: a value of the type could run its code. None: there is none.
    pub of_weaker: Option<String>,
}

/// The columns of a table, in its order; empty if there is no such table.
///
/// # Errors
/// [`Error::Database`].
pub async fn columns(client: &impl GenericClient, table: &TableName) -> Result<Vec<Here>, Error> {
    let read = |row: &Row| {
        Ok(Here {
            name: row.try_get(0)?,
            type_name: row.try_get(1)?,
        })
    };
    client
        .query_typed(
            "select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
               from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
              where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p') order by a.attnum",
            &[(&table.schema, Type::TEXT), (&table.name, Type::TEXT)],
        )
        .await
        .and_then(|rows| rows.iter().map(read).collect())
        .map_err(Error::database(format!("read the columns of {table}")))
}

/// The type of a schema and name, with modifiers as `atttypmod` has them (-1: none), for a table that is changed as
/// `role` (none: the session's); None: there is no such type.
///
/// # Errors
/// [`Error::Database`].
pub async fn type_here(
    client: &impl GenericClient,
    (schema, name, modifier): (&str, &str, i32),
    role: Option<&str>,
) -> Result<Option<TypeHere>, Error> {
    let found = client
        .query_typed(
            "select pg_catalog.format_type(t.oid, $3), \
                    (select r.rolname::text from trunkline.component_types(array[t.oid]) part (oid) \
                       join pg_catalog.pg_type p on p.oid = part.oid join pg_catalog.pg_roles r on r.oid = p.typowner \
                      where p.typtype <> 'e' and not r.rolsuper and r.rolname <> current_user \
                        and r.rolname is distinct from $4 limit 1) \
               from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
              where n.nspname = $1 and t.typname = $2",
            &[(&schema, Type::TEXT), (&name, Type::TEXT), (&modifier, Type::INT4), (&role, Type::TEXT)],
        )
        .await
        .map_err(Error::database(format!("look up type {schema}.{name}")))?;
    let Some(row) = found.first() else {
        return Ok(None);
    };
    let read = || {
        Ok(TypeHere {
            written_as: row.try_get(0)?,
            of_weaker: row.try_get(1)?,
        })
    };
    read()
        .map(Some)
        .map_err(Error::database(format!("look up type {schema}.{name}")))
}
