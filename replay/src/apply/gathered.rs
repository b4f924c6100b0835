//! The last resort if a unique index or an exclusion constraint of the subscriber lets no order of statements pass. The
//! last states of all rows that the transaction touches are gathered in staging tables. Then all these rows are
//! deleted, and the rows that stay are inserted. So every set of rows that is valid at the end of a transaction can be
//! written, and the order does not matter any more.
//!
//! 1. A set whose rows are in each other's way is written like that at once. Mostly this is enough.
//! 2. It is not enough if rows change places over several sets, as a check that the provider defers allows: big
//!    transactions come in parts, and of keys whose text is not equality each event is a set. Then the set stays
//!    gathered, later sets of its table are gathered with it, and all are written at the end. If a row is still in the
//!    way then, it is the subscriber's own.
//!
//! Columns that only the subscriber has are read before rows are deleted, and written back. For the sake of these
//! columns, tables that UPDATE cannot set (GENERATED ALWAYS AS IDENTITY) are written in this way, too.

use sql::{queue::tick::TickId, subscriber::conflict::ConflictKind};
use tokio_postgres::Error;

use super::{
    ApplyTx,
    staged::{Differences, SetWriter, Stage},
    table::{Staging, TogetherStatements},
    writable::Writable,
};
use crate::{
    fold::ChangeSet,
    trouble::{Trouble, is_in_the_way},
};

impl SetWriter<'_> {
    /// Adds a set, and gives the keys of rows that were not as the set says.
    async fn gather(
        &mut self,
        sql: &TogetherStatements,
        set: &ChangeSet,
    ) -> Result<Differences, Error> {
        let known = &mut self.known;
        let mut differences = Differences::default();
        for (keys, must_exist) in [(&set.deletes, true), (&set.gone, false)] {
            if keys.is_empty() {
                continue;
            }
            known.stage_keys(keys).await?;
            if must_exist {
                differences.missing = known.keys(&sql.missing_keys).await?;
            }
            known.client.batch_execute(&sql.absorb_keys).await?;
        }
        for (rows, unlike) in [
            (&set.updates, Some(ConflictKind::Missing)),
            (&set.puts, None),
            (&set.inserts, Some(ConflictKind::Exists)),
        ] {
            if rows.is_empty() {
                continue;
            }
            known.stage_rows(rows).await?;
            differences.outside |= known.is_outside().await?;
            match unlike {
                Some(ConflictKind::Missing) => {
                    let mut missing = known.keys(&sql.missing_rows).await?;
                    differences.missing.append(&mut missing);
                }
                Some(ConflictKind::Exists) => {
                    differences.existing = known.keys(&sql.existing_rows).await?
                }
                None => {}
            }
            known.client.batch_execute(&sql.absorb_rows).await?;
        }
        Ok(differences)
    }
}

impl Stage<'_> {
    /// Writes the gathered rows. False if not every row stayed.
    async fn write_gathered(&self, sql: &TogetherStatements) -> Result<bool, Error> {
        let wanted = self.keys(&sql.count).await?;
        let stays = wanted.first().is_some_and(|count| count != "0");
        let mut added = 0;
        for (statement, adds) in [
            (&sql.keep, false),
            (&sql.delete, false),
            (&sql.insert_kept, true),
            (&sql.insert, true),
        ] {
            if !statement.is_empty() && (stays || !adds) {
                let touched = self.run(statement).await?;
                added += if adds { touched } else { 0 };
            }
        }
        Ok(wanted.first() == Some(&added.to_string()))
    }
}

impl ApplyTx<'_> {
    /// Whether a set must be gathered: other sets of its table are gathered, or its rows must be deleted and inserted
    /// again without losing the values of the subscriber's own columns.
    pub(super) fn must_gather(&self, set: &ChangeSet, writable: &Writable) -> bool {
        self.done.gathered.has(set.shape.table.oid)
            || (writable.target.keeps_beside() && !(set.updates.is_empty() && set.puts.is_empty()))
    }

    /// Adds a set, to be written with the other gathered sets of its table.
    pub(super) async fn gather(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let table = set.shape.table_name();
        for old in self.done.gathered.take(set.shape.table.oid, Some(set)) {
            self.write_together(&old, tick).await?;
        }
        self.make(writable, Staging::Known).await?;
        self.make(writable, Staging::Together).await?;
        if self.done.gathered.take_written(set.shape.shape) {
            self.clear_gathered(writable).await?;
        }
        let gathered = self
            .writer(writable)
            .gather(&writable.together, set)
            .await
            .map_err(Trouble::at_table(&table, "could not gather its rows"))?;
        let known = self.applier.writable.get(&set.shape.shape);
        self.done.gathered.add(known.ok_or(Trouble::Stale)?);
        self.judge(&writable.target, gathered, tick).await
    }

    /// Forgets the gathered rows of a table that is emptied.
    pub(super) async fn forget_gathered(&mut self, set: &ChangeSet) -> Result<(), Trouble> {
        for old in self.done.gathered.take(set.shape.table.oid, None) {
            self.clear_gathered(&old).await?;
        }
        Ok(())
    }

    async fn clear_gathered(&self, writable: &Writable) -> Result<(), Trouble> {
        let table = writable.target.shape.table_name();
        let clear = &writable.together.clear;
        self.run_at(clear, &table, "could not empty a staging table")
            .await
    }

    /// Gathers and writes a set at once; if something is still in its way, it is written with all sets that follow.
    pub(super) async fn write_or_gather(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let was_begun = self.done.gathered.has(set.shape.table.oid);
        self.gather(set, writable, tick).await?;
        if was_begun {
            return Ok(());
        }
        let before = self.savepoint("together").await?;
        match self.write_together(writable, tick).await {
            Ok(()) => {
                self.done.gathered.take(set.shape.table.oid, None);
                self.release(before).await
            }
            Err(trouble @ Trouble::Table(_)) if trouble.sqlstate().is_some_and(is_in_the_way) => {
                self.roll_back_to(before).await
            }
            Err(other) => Err(other),
        }
    }

    /// Writes all gathered rows of a shape.
    pub(super) async fn write_together(
        &mut self,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let shape = &writable.target.shape;
        let table = shape.table_name();
        let stage = self.writer(writable).known;
        let stayed = stage
            .write_gathered(&writable.together)
            .await
            .map_err(Trouble::at_table(
                &table,
                "could not write its rows on the subscriber",
            ))
            .map_err(|trouble| writable.target.advised(trouble))?;
        self.done.gathered.written(shape.shape);
        let differences = Differences {
            unruly: !stayed,
            ..Differences::default()
        };
        self.judge(&writable.target, differences, tick).await
    }
}
