//! Whether several tables of providers can be written to one table of the subscriber, each its own rows (`--merge`).

use anyhow::Context as _;
use sql::{
    connect::Session,
    event::mapping::Mapping,
    name::TableName,
    subscriber::{
        table_state::{self, Writer},
        target::TargetColumn,
    },
};

use crate::apply::{owner::Hold, table::Acting};

/// The refusal of a second table for one table of the subscriber.
pub(crate) fn target_is_taken(
    target: &TableName,
    place: &str,
    own: &Mapping,
    other: &Writer,
) -> String {
    let Writer {
        consumer,
        table,
        merge,
    } = other;
    let taken = format!("{table} is written to table {target} on {place} already");
    match (&own.merge, merge) {
        (None, None) => format!("{taken}, by job {consumer}: choose another one with --as"),
        (Some(_), None) => format!(
            "{taken}, by job {consumer} without --merge: remove it there, and add it again with a --merge of its own"
        ),
        (None, Some(merge)) => format!(
            "{taken}, by job {consumer} with --merge {}: say with --merge which rows are this one's, or choose \
             another table with --as",
            merge.condition
        ),
        (Some(_), Some(merge)) => format!(
            "{taken}, by job {consumer} with the same --merge {}: say which other rows are this one's",
            merge.condition
        ),
    }
}

/// Why a table cannot be written to one that others write, too: rows are there for which both conditions are true. The
/// conditions cannot be compared themselves, so that nothing is found in an empty table.
pub(crate) async fn shared_rows(
    subscriber: &Session,
    consumer: &str,
    place: &str,
    table: &TableName,
    mapping: &Mapping,
) -> anyhow::Result<Option<String>> {
    let Some(own) = &mapping.merge else {
        return Ok(None);
    };
    let target = mapping.target_of(table);
    let writers = table_state::writers(&**subscriber, target)
        .await
        .with_context(|| format!("could not read which tables are written on {place}"))?;
    let others = writers.into_iter();
    let others = others.filter(|one| one.consumer != consumer || one.table != *table);
    let others: Vec<Writer> = others.collect();
    let conditions = others.iter().enumerate().filter_map(|(number, other)| {
        let theirs = other.merge.as_ref()?.of_alias("t");
        Some(format!("when {theirs} then {number}"))
    });
    let conditions: Vec<String> = conditions.collect();
    if conditions.is_empty() {
        return Ok(None);
    }
    let query = format!(
        "select w.number::text from (select case {} end as number from {} t where {}) w \
         where w.number is not null limit 1",
        conditions.join(" "),
        target.quoted(),
        own.of_alias("t")
    );
    let acting = Acting::find(&**subscriber, table, target).await?;
    let found = lines(subscriber, &acting, (target, place), &query).await?;
    let number = found.first().and_then(|number| number.parse().ok());
    let other = number.and_then(|number: usize| others.get(number));
    Ok(other.map(|other| {
        let theirs = other.merge.as_ref().map_or("", |merge| &merge.condition);
        format!(
            "its --merge {} is true for rows of table {target} on {place} that are those of job {}, too, whose --merge \
             is {theirs}: a row is of one job only",
            own.condition, other.consumer
        )
    }))
}

/// The answer to a query of one text column over a table of the subscriber, which is held meanwhile.
pub(super) async fn lines(
    subscriber: &Session,
    acting: &Acting,
    (table, place): (&TableName, &str),
    query: &str,
) -> anyhow::Result<Vec<String>> {
    let cannot_read = || format!("could not read {table} on {place}");
    let run = async |sql: &str| subscriber.batch_execute(sql).await;
    run("begin").await.with_context(cannot_read)?;
    acting.hold(subscriber, table, Hold::ToRead).await?;
    let rows = acting.lines(subscriber, query).await;
    run("commit").await.with_context(cannot_read)?;
    rows.with_context(cannot_read)
}

/// A column of a merge's condition that is not replicated, or that the subscriber computes by itself.
pub(super) fn not_brought<'a>(
    here: &[TargetColumn],
    replicated: &[&String],
    read: &'a [String],
) -> Option<&'a String> {
    let is_brought = |name: &String| {
        let written = here.iter().any(|one| one.name == *name && !one.generated);
        written && replicated.contains(&name)
    };
    read.iter().find(|name| !is_brought(name))
}
