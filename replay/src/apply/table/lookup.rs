//! Looking a table up on the subscriber, and matching its columns with those of a shape.

use std::sync::Arc;

use sql::{
    event::{mapping::Mapping, shape::Shape},
    name::{TableName, quote_ident},
    subscriber::{relation, session_role::SessionRole},
};
use tokio_postgres::{GenericClient, Row, types::Type};

use super::{Acting, Column, Ordinary, Target};
use crate::{table, trouble::Trouble};

struct Found {
    name: String,
    column: Column,
    /// The type to stage the values in if the owner's code must run as the owner only; none: the column's type itself.
    harmless: Option<(String, u32)>,
    generated: bool,
    partitioned: bool,
}

fn found(row: &Row) -> Result<Found, tokio_postgres::Error> {
    let name: String = row.try_get(0)?;
    Ok(Found {
        column: Column {
            name: quote_ident(&name),
            type_name: row.try_get(1)?,
            type_oid: row.try_get(8)?,
            equal: row.try_get(4)?,
            identity_always: row.try_get(3)?,
            not_null: row.try_get(5)?,
            staging: row.try_get(7)?,
            staging_oid: row.try_get(8)?,
            opaque: row.try_get(11)?,
            plain_type: row.try_get(12)?,
        },
        harmless: row
            .try_get::<_, Option<String>>(9)?
            .zip(row.try_get::<_, Option<u32>>(10)?),
        generated: row.try_get(2)?,
        partitioned: row.try_get(6)?,
        name,
    })
}

/// Reads the subscriber's columns of a table.
async fn columns(
    client: &impl GenericClient,
    table: &TableName,
    target: &TableName,
) -> Result<Vec<Found>, Trouble> {
    client
        .query_typed(
            "select column_name, written_as, generated, identity_always, equal_operator, \
                    not_null, partitioned, declared, declared_type, staged, staged_type, opaque, type_name \
             from trunkline.target_columns($1, $2)",
            &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
        )
        .await
        .and_then(|rows| rows.iter().map(found).collect())
        .map_err(Trouble::at_table(
            table,
            "could not read its columns on the subscriber",
        ))
}

/// The error of a missing table; another object may have its name.
async fn absent(
    client: &impl GenericClient,
    table: &TableName,
    mapping: &Mapping,
) -> Result<Trouble, Trouble> {
    let found = relation::find(client, mapping.target_of(table))
        .await
        .map_err(|error| Trouble::from(error).at(table))?;
    let name = match &mapping.target {
        None => "it".to_owned(),
        Some(target) => format!("its table {target}"),
    };
    let (why, advice) = match found {
        None => (
            format!("{name} does not exist on the subscriber"),
            "create the table on the subscriber, or remove it from the job",
        ),
        Some(found) if found.is_table => (
            format!("{name} has no column on the subscriber"),
            "add the columns on the subscriber",
        ),
        Some(found) => (
            format!("{name} is {} on the subscriber, and no table", found.what),
            "make a table of that name on the subscriber, or remove it from the job and add it with --as",
        ),
    };
    Ok(Trouble::misfit(table, why, advice))
}

/// The facts of a table beside its columns.
struct Facts {
    /// See [`Target::takes_copy`].
    takes_copy: bool,
    /// Another table of the job that is written to the table with that name.
    other: Option<String>,
}

impl Facts {
    async fn find(
        client: &impl GenericClient,
        shape: &Shape,
        target: &TableName,
    ) -> Result<Facts, Trouble> {
        client
            .query_typed_one(
                "select takes_copy, other from trunkline.target_facts($1, $2, $3)",
                &[
                    (&target.schema, Type::TEXT),
                    (&target.name, Type::TEXT),
                    (&shape.table.oid, Type::OID),
                ],
            )
            .await
            .and_then(|row| {
                Ok(Facts {
                    takes_copy: row.try_get(0)?,
                    other: row.try_get(1)?,
                })
            })
            .map_err(Trouble::at_table(
                &shape.table_name(),
                "could not read its rules on the subscriber",
            ))
    }

    /// A table that was renamed on the provider is written under its new name. It is refused if another table is
    /// written to the table with that name: the rows of the two could not be told apart any more.
    fn refuse_a_target_of_another(&self, table: &TableName) -> Result<(), Trouble> {
        let Some(other) = &self.other else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!("on the subscriber, {other} is written to the table of that name"),
            "rename the table on the provider and copy it again (replay resync TABLE), or remove it \
             from the job and add it with --as",
        ))
    }
}

impl Target {
    /// Looks the table up on the subscriber and matches its columns with the shape's by name.
    ///
    /// Errors: a [`Trouble::Table`] that names the table if it is missing, and each column that the table has no place
    /// for.
    pub(crate) async fn find(
        client: &impl GenericClient,
        shape: &Arc<Shape>,
        mapping: &Mapping,
        session_role: SessionRole,
    ) -> Result<Target, Trouble> {
        let table = &shape.table_name();
        table::shape_can_go_on(shape, mapping)
            .map_err(|misfit| Trouble::unfollowable(table, misfit.why, misfit.advice))?;
        let name = mapping.target_of(table);
        // All questions are sent before the first answer is read: one round trip, however far away the subscriber is.
        let (facts, mut found, keys, acting) = futures::try_join!(
            Facts::find(client, shape, name),
            columns(client, table, name),
            Ordinary::find(client, table, name, session_role),
            Acting::find(client, table, name),
        )?;
        if mapping.target.is_none() {
            facts.refuse_a_target_of_another(table)?;
        }
        if found.is_empty() && !shape.columns.is_empty() {
            return Err(absent(client, table, mapping).await?);
        }
        keys.refuse(table)?;
        let mut target = Target {
            session_role,
            relation: keys.relation,
            refers_to: keys.refers_to,
            refers_to_itself: keys.to_itself,
            shape: Arc::clone(shape),
            name: name.clone(),
            fields: Vec::new(),
            key_fields: shape.key_fields(),
            columns: Vec::new(),
            key: Vec::new(),
            own: Vec::new(),
            partitioned: found.first().is_some_and(|column| column.partitioned),
            acting: acting.clone(),
            // Reading the rows of a COPY would run its owner's code as replay's role.
            takes_copy: facts.takes_copy && acting.role().is_none(),
        };
        let mut missing = Vec::new();
        for (field, wanted) in shape.columns.iter().enumerate() {
            if !mapping.takes(wanted) {
                continue;
            }
            let Some(place) = found.iter().position(|f| f.name == wanted.name) else {
                missing.push(quote_ident(&wanted.name));
                continue;
            };
            let here = found.swap_remove(place);
            if here.generated {
                // The subscriber computes the column; a computed key column cannot be compared with the provider's
                // values.
                if wanted.key.is_some() {
                    missing.push(format!("{} (generated here)", here.column.name));
                }
                continue;
            }
            target.fields.push(field);
            let mut column = here.column;
            if let Some((staging, staging_oid)) = here.harmless.filter(|_| acting.role().is_some())
            {
                (column.staging, column.staging_oid) = (staging, staging_oid);
            }
            target.columns.push(column);
        }
        if !missing.is_empty() {
            return Err(Trouble::misfit(
                table,
                format!("it has no column {} on the subscriber", missing.join(", ")),
                "add the column on the subscriber; if the provider has renamed or dropped it since, copy the \
                 table again as it is now: replay resync TABLE",
            ));
        }
        let own = found.into_iter().filter(|own| !own.generated);
        // The values of these columns never come from a COPY.
        target.own = own.map(|own| own.column).collect();
        target.key = target
            .key_fields
            .iter()
            .filter_map(|key| target.fields.iter().position(|field| field == key))
            .collect();
        target.refuse_keys_of_others(table)?;
        Ok(target)
    }

    /// Refuses a key of a type that may run code: keys are compared in staging tables, as replay's role.
    fn refuse_keys_of_others(&self, table: &TableName) -> Result<(), Trouble> {
        if self.acting.role().is_none() {
            return Ok(());
        }
        let mut of_others = self.key_columns().filter(|column| column.opaque);
        of_others.next().map_or(Ok(()), |column| {
            Err(Trouble::misfit(
                table,
                format!(
                    "its key {} is of a type that may run code of {}'s: {}",
                    column.name,
                    self.acting.role().unwrap_or("another role"),
                    column.type_name
                ),
                "have the type owned by a superuser on the subscriber, or the table by replay's role",
            ))
        })
    }
}
