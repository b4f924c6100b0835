//! What a script asks of a database by its attributes, and whether that holds.

use tokio_postgres::GenericClient;

use super::attributes::Attribute;
use crate::{error::Error, name::TableName};

/// The first attribute that does not hold on a subscriber, in words; none: all hold.
pub async fn unmet(
    client: &impl GenericClient,
    consumer: &str,
    attributes: &[Attribute],
) -> Result<Option<String>, Error> {
    for attribute in attributes {
        let (sql, schema, name, what) = question(attribute);
        let arguments = if let Attribute::NeedFunction(_, arguments) = attribute {
            *arguments
        } else {
            None
        };
        let holds: bool = client
            .query_one(sql, &[&schema, &name, &consumer, &arguments])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(Error::database("look for what a script needs"))?;
        if !holds {
            let full = if schema.is_empty() {
                name.to_owned()
            } else {
                TableName::new(schema, name).to_string()
            };
            return Ok(Some(format!("{what} {full} is not here")));
        }
    }
    Ok(None)
}

/// Asks for a relation of some kinds. Every question takes schema, name, consumer and number of arguments.
macro_rules! relation {
    ($kinds:literal) => {
        concat!(
            "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where n.nspname = $1 and c.relname = $2 and c.relkind in (",
            $kinds,
            ")) and coalesce($3::text, '') is not null and coalesce($4::int2, 0) is not null"
        )
    };
}

fn question(attribute: &Attribute) -> (&'static str, &str, &str, &'static str) {
    const LOCAL: &str = "select exists (select from trunkline.table_state s \
         where s.schema_name = $1 and s.table_name = $2 and s.consumer = $3) and coalesce($4::int2, 0) is not null";
    const SEQUENCE: &str = "select exists (select from trunkline.sequence_state s \
         where s.schema_name = $1 and s.sequence_name = $2 and s.consumer = $3) and coalesce($4::int2, 0) is not null";
    const DESTINATION: &str = "select exists (select from trunkline.table_state s \
          join pg_catalog.pg_class c on c.relname = coalesce(s.target_name, s.name_now, s.table_name) \
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               and n.nspname = coalesce(s.target_schema, s.schema_now, s.schema_name) \
         where s.schema_name = $1 and s.table_name = $2 and s.consumer = $3) and coalesce($4::int2, 0) is not null";
    const SCHEMA: &str = "select exists (select from pg_catalog.pg_namespace n where n.nspname = $2) \
         and $1::text is not null and coalesce($3::text, '') is not null and coalesce($4::int2, 0) is not null";
    const FUNCTION: &str = "select exists (select from pg_catalog.pg_proc p \
          join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = $1 and p.proname = $2 and ($4::int2 is null or p.pronargs = $4::int2)) \
         and coalesce($3::text, '') is not null";
    match attribute {
        Attribute::LocalTable(one) => (LOCAL, &one.schema, &one.name, "replicated table"),
        Attribute::LocalSequence(one) => (
            SEQUENCE,
            &one.schema,
            &one.name,
            "sequence that is carried over,",
        ),
        Attribute::LocalDestination(one) => {
            (DESTINATION, &one.schema, &one.name, "destination of table")
        }
        Attribute::NeedTable(one) => (relation!("'r', 'p', 'f'"), &one.schema, &one.name, "table"),
        Attribute::NeedSequence(one) => (relation!("'S'"), &one.schema, &one.name, "sequence"),
        Attribute::NeedView(one) => (relation!("'v', 'm'"), &one.schema, &one.name, "view"),
        Attribute::NeedSchema(one) => (SCHEMA, "", one, "schema"),
        Attribute::NeedFunction(one, _) => (FUNCTION, &one.schema, &one.name, "function"),
    }
}
