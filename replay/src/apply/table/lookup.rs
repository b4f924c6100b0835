//! Looking a table up on the subscriber, and matching its columns with those of a shape.

use std::sync::Arc;

use sql::{
    event::{mapping::Mapping, shape::Shape},
    name::{TableName, quote_ident},
    subscriber::{
        relation,
        session_role::SessionRole,
        table_state,
        target::{self, TargetColumn, TargetFacts},
    },
};
use tokio_postgres::GenericClient;

use super::{Acting, Column, Mine, Target};
use crate::{apply::origin, table, trouble::Trouble};

impl Column {
    fn of(found: TargetColumn) -> Column {
        Column {
            name: quote_ident(&found.name),
            type_name: found.written_as,
            plain_type: found.type_name,
            type_oid: found.declared_type,
            equal: found.equal_operator,
            identity_always: found.identity_always,
            not_null: found.not_null,
            staging: found.declared,
            staging_oid: found.declared_type,
            opaque: found.opaque,
        }
    }
}

/// Reads the subscriber's columns of a table.
async fn columns(
    client: &impl GenericClient,
    table: &TableName,
    target: &TableName,
) -> Result<Vec<TargetColumn>, Trouble> {
    target::columns(client, target)
        .await
        .map_err(Trouble::sql_at_table(
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
        .map_err(Trouble::of_table(table))?;
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

/// Reads the facts of a table beside its columns.
async fn facts(
    client: &impl GenericClient,
    shape: &Shape,
    target: &TableName,
) -> Result<TargetFacts, Trouble> {
    target::facts(client, target, shape.table.oid)
        .await
        .map_err(Trouble::sql_at_table(
            &shape.table_name(),
            "could not read its rules on the subscriber",
        ))
}

/// A table that was renamed on the provider is written under its new name. It is refused if another table is
/// written to the table with that name: the rows of the two could not be told apart any more.
fn refuse_a_target_of_another(facts: &TargetFacts, table: &TableName) -> Result<(), Trouble> {
    let Some(other) = &facts.other else {
        return Ok(());
    };
    Err(Trouble::misfit(
        table,
        format!("on the subscriber, {other} is written to the table of that name"),
        "rename the table on the provider and copy it again (replay resync TABLE), or remove it \
         from the job and add it with --as",
    ))
}

/// A table whose rows are told from those of other jobs is not written if another table is written there without such
/// a condition: the provider's table may have been renamed to that table's name.
async fn refuse_a_target_without_merge(
    client: &impl GenericClient,
    table: &TableName,
    target: &TableName,
) -> Result<(), Trouble> {
    let alone = table_state::writes_alone(client, target)
        .await
        .map_err(Trouble::of_table(table))?;
    alone.map_or(Ok(()), |other| {
        Err(Trouble::misfit(
            table,
            format!(
                "on the subscriber, {other} is written to the table of that name without --merge"
            ),
            "remove one of the two from its job",
        ))
    })
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
        let (facts, mut found, ordinary, acting) = futures::try_join!(
            facts(client, shape, name),
            columns(client, table, name),
            origin::find(client, table, name, session_role),
            Acting::find(client, table, name),
        )?;
        if mapping.merge.is_some() {
            refuse_a_target_without_merge(client, table, name).await?;
        } else if mapping.target.is_none() {
            refuse_a_target_of_another(&facts, table)?;
        }
        if found.is_empty() && !shape.columns.is_empty() {
            return Err(absent(client, table, mapping).await?);
        }
        origin::refuse(&ordinary, table)?;
        let mut target = Target {
            session_role,
            relation: ordinary.relation,
            refers_to: ordinary.refers_to,
            refers_to_itself: ordinary.to_itself,
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
            takes_copy: facts.takes_copy && acting.role().is_none() && mapping.merge.is_none(),
            mine: None,
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
                    missing.push(format!("{} (generated here)", quote_ident(&here.name)));
                }
                continue;
            }
            target.fields.push(field);
            let harmless = here.staged.clone().filter(|_| acting.role().is_some());
            let mut column = Column::of(here);
            if let Some((staging, staging_oid)) = harmless {
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
        target.own = own.map(Column::of).collect();
        target.key = target
            .key_fields
            .iter()
            .filter_map(|key| target.fields.iter().position(|field| field == key))
            .collect();
        target.refuse_keys_of_others(table)?;
        if let Some(merge) = &mapping.merge {
            target.mine = Some(Mine::of(merge, &target.columns).map_err(|why| {
                Trouble::misfit(
                    table,
                    format!("its --merge {why}"),
                    "put the column right, or remove the table from the job, and add it with another --merge",
                )
            })?);
        }
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
