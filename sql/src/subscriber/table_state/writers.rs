//! Which tables of providers are written to one table of the subscriber: one alone, or several of any jobs if each of
//! them says which rows are its own.

use tokio_postgres::GenericClient;

use crate::{
    error::Error,
    event::mapping::{Mapping, Merge},
    install::ownership::{Schema, relation_exists},
    name::TableName,
};

/// A table of some provider that a job writes to a table of the subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The job's consumer.
    pub consumer: String,
    /// The table, by its name on the provider.
    pub table: TableName,
    /// Which of the subscriber's rows are its own; none: all.
    pub merge: Option<Merge>,
}

/// The other table, of any job, that keeps a table from being written to `target`.
pub async fn other_writer(
    client: &impl GenericClient,
    target: &TableName,
    consumer: &str,
    table: &TableName,
    mapping: &Mapping,
) -> Result<Option<Writer>, Error> {
    let others = writers(client, target).await?.into_iter();
    let mut others = others.filter(|one| one.consumer != consumer || one.table != *table);
    let own = mapping.merge.as_ref();
    if let Some(other) = others.find(|other| in_the_way(own, other.merge.as_ref())) {
        return Ok(Some(other));
    }
    let restoring = restoring(client).await?;
    Ok(restoring.map(|consumer| Writer {
        consumer,
        table: target.clone(),
        merge: None,
    }))
}

/// The consumer of a restore of the whole database that has not ended: it writes each table that it has made, and lists
/// them only when all are loaded.
async fn restoring(client: &impl GenericClient) -> Result<Option<String>, Error> {
    if !relation_exists(client, Schema::Trunkline, "restore").await? {
        return Ok(None);
    }
    client
        .query_opt(
            "select consumer from trunkline.restore \
             where step = 'plan' and pg_catalog.jsonb_array_length(detail::jsonb -> 'tables') = 0 \
             order by 1 limit 1",
            &[],
        )
        .await
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(Error::database("look for a restore that has not ended"))
}

/// The table that is written to `target` without a condition on its rows.
pub async fn writes_alone(
    client: &impl GenericClient,
    target: &TableName,
) -> Result<Option<TableName>, Error> {
    let all = writers(client, target).await?;
    let alone = all.into_iter().find(|one| one.merge.is_none());
    Ok(alone.map(|one| one.table))
}

/// Whether two tables cannot be written to one: not both have a condition, or it is the same one. Whether two other
/// conditions overlap cannot be known in general.
fn in_the_way(own: Option<&Merge>, other: Option<&Merge>) -> bool {
    match (own, other) {
        (Some(own), Some(other)) => own.condition == other.condition,
        (None, _) | (_, None) => true,
    }
}

/// All tables of providers that are written to a table of the subscriber.
pub async fn writers(
    client: &impl GenericClient,
    target: &TableName,
) -> Result<Vec<Writer>, Error> {
    let failed = || Error::database("read which tables are written");
    let rows = client
        .query(
            "select schema_name, table_name, consumer, merge_filter, merge_form, merge_columns \
             from trunkline.table_state \
             where coalesce(target_schema, schema_name) = $1 \
               and coalesce(target_name, table_name) = $2 \
             order by 1, 2, 3",
            &[&target.schema, &target.name],
        )
        .await
        .map_err(failed())?;
    let writer = |row: &tokio_postgres::Row| {
        Ok(Writer {
            table: TableName::of(row)?,
            consumer: row.try_get(2)?,
            merge: Merge::of(row, 3)?,
        })
    };
    rows.iter()
        .map(writer)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_with_different_conditions_are_written_to_one() {
        let merge = |condition: &str| Merge {
            condition: condition.into(),
            columns: Vec::new(),
            form: String::new(),
        };
        let (a, b) = (&merge("a"), &merge("b"));
        assert!(in_the_way(None, None));
        assert!(in_the_way(Some(a), None));
        assert!(in_the_way(None, Some(a)));
        assert!(in_the_way(Some(a), Some(a)));
        assert!(!in_the_way(Some(a), Some(b)));
    }
}
