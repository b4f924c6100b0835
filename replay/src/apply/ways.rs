//! The two ways to write a chunk: quickly, assuming that rows are as their changes say, or carefully, if the quick way
//! met a row that is not.

use sql::{classify, queue::tick::TickId, subscriber::session_role::SessionRole};

use super::{
    ApplyTx,
    order::{Work, is_foreign_key},
    pipeline::Pipeline,
    staged::Failed,
    sums,
    table::Staging,
    writable::Writable,
};
use crate::{
    fold::ChangeSet,
    trouble::{Trouble, is_in_the_way},
};

/// Sets with at most this many rows are written with one prepared statement a row. Measured: about 25 microseconds a
/// row; through staging 2 milliseconds, and 6 microseconds a row.
const ROW_BY_ROW_LIMIT: usize = 100;

/// The most text of such sets: statements that are sent together are all in memory at once, while a COPY is sent in
/// pieces.
const ROW_BY_ROW_BYTES: usize = 1 << 20;

impl ApplyTx<'_> {
    /// Writes sets, assuming that rows are as the sets say; false if a set did not fit, and then the chunk must be
    /// rolled back.
    pub(super) async fn write_quickly(
        &mut self,
        work: &[(&ChangeSet, &Writable)],
    ) -> Result<bool, Trouble> {
        let mut start = 0;
        while start < work.len() {
            let small = work[start..]
                .iter()
                .take_while(|(set, writable)| is_small(set, writable, self.applier.session_role))
                .count();
            let clean = if small > 0 {
                self.write_rows(&work[start..start + small])
                    .await
                    .map_err(Failed::Statement)
            } else {
                let (set, writable) = work[start];
                self.make_staging(set, writable).await?;
                match sums::stage(&self.applier.session, writable, set).await {
                    Ok(()) => self.writer(writable).write_quickly(set).await,
                    Err(error) => Err(Failed::Statement(error)),
                }
            };
            match clean {
                Ok(true) => start += small.max(1),
                Ok(false) => return Ok(false),
                Err(Failed::Refused(error)) => {
                    let table = work[start].0.shape.table_name();
                    return Err(Trouble::at_table(&table, "could not load its rows")(error));
                }
                Err(Failed::Statement(error)) => match classify(&error) {
                    sql::Class::Transient => {
                        return Err(Trouble::database("could not write to the subscriber")(
                            error,
                        ));
                    }
                    // The careful way finds the table at fault.
                    sql::Class::Operator | sql::Class::Bug => return Ok(false),
                },
            }
        }
        Ok(true)
    }

    pub(super) async fn write_rows(
        &self,
        work: &[(&ChangeSet, &Writable)],
    ) -> Result<bool, tokio_postgres::Error> {
        let mut pipeline = Pipeline::new(&self.applier.session);
        self.load(&mut pipeline, work);
        pipeline.run().await
    }

    /// Adds sets to the statements that are sent together.
    pub(super) fn load<'a>(
        &'a self,
        pipeline: &mut Pipeline<'a>,
        work: &[(&ChangeSet, &Writable)],
    ) {
        for (set, writable) in work {
            if let Some(prepared) = &writable.prepared {
                let acting = &writable.target.acting;
                if let Some(enter) = acting.enter() {
                    pipeline.say(enter);
                }
                pipeline.add(&writable.target, prepared, set);
                if let Some(leave) = acting.leave() {
                    pipeline.say(leave.to_owned());
                }
            }
        }
    }

    /// Writes a round where foreign keys are enforced. Rows that others still refer to are deleted last: the rows that
    /// refer to them may be about to refer to a row that is inserted in this round.
    pub(super) async fn write_round_carefully(
        &mut self,
        round: &Work,
        tick: TickId,
    ) -> Result<(), Trouble> {
        let mut postponed = Vec::new();
        for (set, writable) in round {
            self.done.conflicts.take_back(set);
            let may_wait = !(set.deletes.is_empty() && set.gone.is_empty());
            if !may_wait {
                self.write_carefully(set, writable, tick).await?;
                continue;
            }
            let before = self.savepoint("removal").await?;
            match self.write_carefully(set, writable, tick).await {
                Ok(()) => self.release(before).await?,
                Err(trouble) if is_foreign_key(&trouble) => {
                    self.roll_back_to(before).await?;
                    postponed.push((set, writable));
                }
                Err(other) => return Err(other),
            }
        }
        for (set, writable) in postponed {
            self.write_carefully(set, writable, tick).await?;
        }
        Ok(())
    }

    pub(super) async fn write_carefully(
        &mut self,
        set: &ChangeSet,
        writable: &Writable,
        tick: TickId,
    ) -> Result<(), Trouble> {
        if self.must_gather(set, writable) || writable.target.keeps_beside() {
            return self.write_or_gather(set, writable, tick).await;
        }
        let table = set.shape.table_name();
        let at_table = || Trouble::at_table(&table, "could not write its rows on the subscriber");
        if set.shape.has_key() {
            self.make(writable, Staging::Known).await?;
            self.make(writable, Staging::Unknown).await?;
        } else {
            // The rollback before has dropped the staging tables if they are new.
            self.make(writable, Staging::Sums).await?;
        }
        let before = self.savepoint("careful").await?;
        sums::stage(&self.applier.session, writable, set)
            .await
            .map_err(at_table())?;
        let mut writer = self.writer(writable);
        let differences = match writer.write_carefully(set).await {
            Ok(differences) => differences,
            Err(error) if error.code().is_some_and(is_in_the_way) => {
                self.roll_back_to(before).await?;
                return self.write_or_gather(set, writable, tick).await;
            }
            Err(error) => return Err(at_table()(error)),
        };
        self.release(before).await?;
        self.judge(&writable.target, differences, tick).await
    }
}

pub(super) fn is_small(set: &ChangeSet, writable: &Writable, role: SessionRole) -> bool {
    // Rows that refer to each other pass in one statement, in any order.
    let one_by_one = role == SessionRole::Replica || !writable.target.refers_to_itself;
    one_by_one
        && set.len() <= ROW_BY_ROW_LIMIT
        && set.puts.is_empty()
        && writable.prepared.is_some()
        && set.rows().map(bytes::Bytes::len).sum::<usize>() <= ROW_BY_ROW_BYTES
}
