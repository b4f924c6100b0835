//! Changes of a table's rows that are told without the rows. A mark is applied if that is possible, or it is checked
//! that the rows agree, or the table must be copied again.

use sql::{
    event::{Mark, part::Partition, shape::Shape},
    name::TableName,
    queue::tick::TickId,
    subscriber::{hop, partitions, table_state, target},
};
use tracing::warn;

use super::{ApplyTx, owner::Hold, table::Target, truncate};
use crate::trouble::Trouble;
use std::sync::Arc;

/// The most values of one statement: the protocol counts them in 16 bits.
const PARAMETERS_MAX: usize = 65_535;

const COPY_AGAIN: &str = "copy the table again: replay resync TABLE";

impl ApplyTx<'_> {
    /// Applies a mark. Everything before the mark must be written: the caller has flushed its chunk.
    ///
    /// # Errors
    /// [`Trouble::Table`] if it cannot be known that the subscriber's rows are right after the mark.
    pub(crate) async fn mark(
        &mut self,
        shape: &Arc<Shape>,
        mark: &Mark,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = shape.table_name();
        match mark {
            Mark::Resync { why } => Err(needs_copy(&table, why.clone(), COPY_AGAIN)),
            Mark::Own => {
                let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
                Ok(hop::forget_origins(session, consumer, shape.table.oid).await?)
            }
            Mark::Ignored { operation, rows } => {
                warn!(%table, %operation, rows, tick = tick.0, "changes left out");
                let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
                table_state::count_ignored(session, consumer, shape.table.oid, *rows).await?;
                Ok(())
            }
            Mark::Emptied(part) => {
                self.settle(tick).await?;
                let target = self.target(shape).await?;
                target.acting.refuse_code(&table)?;
                self.empty_part(&table, &target, part).await
            }
            Mark::Filled {
                column,
                value,
                never_null,
            } => {
                self.settle(tick).await?;
                let target = self.target(shape).await?;
                // This is a column that was added, filled row by row and made NOT NULL. By then no row has null in it,
                // and the subscriber's column, which is NOT NULL already, could not hold null.
                if value.is_none() && *never_null && target.is_not_null(column) {
                    return Ok(());
                }
                target.acting.refuse_code(&table)?;
                self.fill(&table, &target, column, value.as_deref()).await
            }
            Mark::Digest {
                columns,
                changed,
                rows,
                sum,
            } => {
                self.settle(tick).await?;
                let changed = changed.as_ref().unwrap_or(columns);
                if !self.concerns(shape, changed)? {
                    return Ok(());
                }
                let sum = Sum {
                    columns,
                    rows: *rows,
                    sum,
                };
                self.compare(shape, sum).await
            }
        }
    }

    async fn target(&self, shape: &Arc<Shape>) -> Result<Target, Trouble> {
        let mapping = self.applier.mapping(shape.table.oid)?;
        let target = Target::find(
            &*self.applier.session,
            shape,
            &mapping,
            self.applier.session_role,
        )
        .await?;
        let (table, hold) = (shape.table_name(), Hold::ToWrite);
        target
            .acting
            .hold(&self.applier.session, &table, hold)
            .await?;
        Ok(target)
    }

    /// Whether new values of some columns change what the subscriber has: the columns are replicated, or the table's
    /// filter reads them.
    fn concerns(&self, shape: &Shape, columns: &[String]) -> Result<bool, Trouble> {
        let mapping = self.applier.mapping(shape.table.oid)?;
        let of_filter = mapping.filter.iter().flat_map(|filter| &filter.columns);
        let of_filter: Vec<_> = of_filter.collect();
        let mut changed = shape
            .columns
            .iter()
            .filter(|column| columns.contains(&column.name));
        Ok(changed
            .any(|column| mapping.takes(column) || of_filter.iter().any(|one| one.is(column))))
    }

    /// Deletes the rows of a partition of the provider: empties the same partition here, or deletes rows by the
    /// partition's condition.
    async fn empty_part(
        &self,
        table: &TableName,
        target: &Target,
        part: &Partition,
    ) -> Result<(), Trouble> {
        let here = partitions::has_same(&*self.applier.session, &target.name, part)
            .await
            .map_err(Trouble::sql_at_table(
                table,
                "could not look for a partition on the subscriber",
            ))?;
        let name = TableName::new(part.part.schema.clone(), part.part.name.clone());
        if here && target.merge().is_none() {
            return truncate::tables(&self.applier.session, &[(&name, &target.acting)]).await;
        }
        let mut values = Vec::new();
        let condition = part.condition(
            |column| target.bound_column(column),
            |value| {
                values.push(Some(value.to_owned()));
                target.acting.parameter(values.len())
            },
        );
        let Some(condition) = condition.filter(|_| values.len() <= PARAMETERS_MAX) else {
            return Err(needs_copy(
                table,
                format!(
                    "its partition {name} was emptied or taken away, and its rows cannot be told from the others"
                ),
                COPY_AGAIN,
            ));
        };
        let delete = format!(
            "delete from {} t where {condition}{}",
            target.own_rows(),
            target.and_own()
        );
        let deleted = target
            .acting
            .execute_with(&self.applier.session, &delete, &values);
        deleted.await.map_err(Trouble::at_table(
            table,
            "could not delete a partition's rows",
        ))
    }

    /// Sets a column to one value in all rows that have another value.
    async fn fill(
        &self,
        table: &TableName,
        target: &Target,
        column: &str,
        value: Option<&str>,
    ) -> Result<(), Trouble> {
        // The subscriber computes a generated column itself.
        let Some((name, type_name)) = target.written_column(column) else {
            return Ok(());
        };
        if target.is_told_by(name) {
            return Err(needs_copy(
                table,
                format!("its new column {name} was filled, by which --merge tells its rows"),
                COPY_AGAIN,
            ));
        }
        let values = [value.map(str::to_owned)];
        let given = target.acting.parameter(1);
        let fill = format!(
            "update {} t set {name} = {given}::{type_name} \
             where row(t.{name})::text is distinct from row({given}::{type_name})::text {}",
            target.own_rows(),
            target.and_own()
        );
        let filled = target
            .acting
            .execute_with(&self.applier.session, &fill, &values);
        filled
            .await
            .map_err(Trouble::at_table(table, "could not set a new column"))
    }

    /// Checks that rows that the provider changed by a definition have changed here, too.
    async fn compare(&self, shape: &Arc<Shape>, wanted: Sum<'_>) -> Result<(), Trouble> {
        let table = &shape.table_name();
        let Sum { columns, rows, sum } = wanted;
        let target = self.target(shape).await?;
        let mapping = self.applier.mapping(shape.table.oid)?;
        let has_all = columns
            .iter()
            .all(|column| target.written_column(column).is_some());
        let is_alone = mapping.filter.is_none() && mapping.merge.is_none();
        if !is_alone || !(mapping.columns.is_none() || has_all) {
            return Err(needs_copy(
                table,
                format!(
                    "a change of its definition on the provider has set values (of {}), and the \
                     subscriber's table has other rows or columns than that, which cannot be compared",
                    columns.join(", ")
                ),
                COPY_AGAIN,
            ));
        }
        let (rows_here, sum_here) = target::digest_as(
            &*self.applier.session,
            &target.name,
            columns,
            target.acting.role_oid(),
        )
        .await
        .map_err(Trouble::sql_at_table(table, "could not compare its rows"))?;
        if (rows_here, sum_here.as_str()) == (rows, sum) {
            return Ok(());
        }
        Err(needs_copy(
            table,
            format!(
                "a change of its definition on the provider has set values (of {}) \
                that the subscriber's rows do not have",
                columns.join(", ")
            ),
            "run the same statement on the subscriber, or copy the table again: replay resync TABLE",
        ))
    }
}

/// A checksum of a table's rows on the provider.
struct Sum<'a> {
    columns: &'a [String],
    rows: i64,
    sum: &'a str,
}

fn needs_copy(table: &TableName, why: String, advice: &str) -> Trouble {
    Trouble::unfollowable(table, why, advice)
}
