//! What is installed in a database, and how it compares with this program. Reads trunkline.component and the catalog.

use tokio_postgres::GenericClient;

use super::manifest::{digest, entries, steps};
use super::ownership::{Schema, relation_exists};
use crate::error::{Error, column};

/// How an installed component compares with the one in this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The same files.
    Same,
    /// The installed component lacks upgrade steps.
    Older,
    /// The installed component has upgrade steps that this program does not know.
    Newer,
    /// The installed component has other functions, at the same step.
    Other,
}

/// A component as it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The component's name: base, pgq, provider, subscriber, member.
    pub component: String,
    /// How the component compares with this program's.
    pub age: Age,
    /// The version of the program, or of the extension's files, that made it.
    pub program_version: String,
    /// The extension that the component's schema belongs to; None: a program installed the component.
    pub extension: Option<String>,
}

/// The installed components, in order of their names; none where nothing is installed.
///
/// # Errors
/// [`Error::Stranger`] for a schema trunkline that somebody else made, [`Error::Database`], or [`Error::Manifest`] when
/// the program was built wrong.
pub async fn components(client: &impl GenericClient) -> Result<Vec<Installed>, Error> {
    if !relation_exists(client, Schema::Trunkline, "component").await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "select name, step, digest, program_version from trunkline.component order by name",
            &[],
        )
        .await
        .map_err(Error::database("ask what is installed"))?;
    let mut found = Vec::new();
    for row in &rows {
        let component: String = column(row, 0)?;
        found.push(Installed {
            age: age(&component, column(row, 1)?, column(row, 2)?)?,
            program_version: column(row, 3)?,
            extension: extension_of(client, schema_of(&component))
                .await?
                .map(|extension| extension.name),
            component,
        });
    }
    Ok(found)
}

/// Compares what `trunkline.component` records with this program's files.
pub(crate) fn age(component: &str, step: i32, recorded: &str) -> Result<Age, Error> {
    let known = steps()?.last().map_or(0, |step| step.number);
    Ok(match step.cmp(&known) {
        std::cmp::Ordering::Less => Age::Older,
        std::cmp::Ordering::Greater => Age::Newer,
        std::cmp::Ordering::Equal if digest(&entries(component)?) == recorded => Age::Same,
        std::cmp::Ordering::Equal => Age::Other,
    })
}

/// The schema that a component's objects are in.
pub(crate) fn schema_of(component: &str) -> &str {
    match component {
        "base" | "provider" | "subscriber" | "member" => "trunkline",
        other => other,
    }
}

/// An extension of this database.
pub(crate) struct Extension {
    /// The extension's name.
    pub(crate) name: String,
    /// The extension's version.
    pub(crate) version: String,
}

impl Extension {
    /// Whether our files made the extension. The extensions of PgQ have the same names.
    pub(crate) fn is_ours(&self) -> bool {
        self.name == "trunkline" || self.version.contains("trunkline")
    }
}

/// The extension that made a schema; None: there is no such schema, or no extension made it. Source: pg_depend.
pub(crate) async fn extension_of(
    client: &impl GenericClient,
    schema: &str,
) -> Result<Option<Extension>, Error> {
    let row = client
        .query_opt(
            "select e.extname::text, e.extversion from pg_catalog.pg_depend d \
               join pg_catalog.pg_extension e on e.oid = d.refobjid \
               join pg_catalog.pg_namespace n on n.oid = d.objid \
              where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
                and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
                and d.deptype = 'e' and n.nspname = $1",
            &[&schema],
        )
        .await
        .map_err(Error::database(format!(
            "ask which extension made schema {schema}"
        )))?;
    row.map(|row| {
        Ok(Extension {
            name: column(&row, 0)?,
            version: column(&row, 1)?,
        })
    })
    .transpose()
}

/// Whether the database has a schema of this name, given without quotes.
pub(crate) async fn schema_exists(client: &impl GenericClient, name: &str) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select exists (select from pg_catalog.pg_namespace where nspname = $1)",
            &[&name],
        )
        .await
        .map_err(Error::database(format!("look for schema {name}")))?;
    column(&row, 0)
}
