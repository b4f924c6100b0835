//! The ends of a transaction on the subscriber: by a move of the position, by a step of a table's state, or by a
//! rollback. Position and state change by compare-and-swap.

use sql::{
    name::TableName,
    subscriber::{
        position::Move,
        table_state::{self, Step},
    },
};

use super::Applier;
use crate::trouble::Trouble;

impl Applier {
    /// Ends the transaction by moving the consumer's position.
    pub(crate) async fn commit_move(&mut self, step: Move) -> Result<(), Trouble> {
        self.settle(step.to.id).await?;
        self.check_deferred().await?;
        self.swap_position(step).await?;
        self.commit().await
    }

    /// Ends the transaction by a step of a table's state.
    pub(crate) async fn commit_step(
        &mut self,
        table: &TableName,
        step: &Step,
    ) -> Result<(), Trouble> {
        if let Some(place) = step.to().place() {
            self.settle(place.tick.id).await?;
        }
        self.check_deferred().await?;
        self.take_step(table, step).await?;
        self.commit().await
    }

    /// Ends the transaction by a step of a table's state, provided the consumer's position is the given one.
    pub(crate) async fn commit_step_at(
        &mut self,
        table: &TableName,
        step: &Step,
        at: Move,
    ) -> Result<(), Trouble> {
        self.settle(at.to.id).await?;
        self.check_deferred().await?;
        self.take_step(table, step).await?;
        self.swap_position(at).await?;
        self.commit().await
    }

    pub(super) async fn swap_position(&self, step: Move) -> Result<(), Trouble> {
        let step = Move {
            conflicts: self.conflicts.count(),
            ..step
        };
        let moved = self
            .mover
            .compare_and_swap(&*self.session, &self.consumer, &step)
            .await
            .map_err(Trouble::database("could not write the position"))?;
        if moved { Ok(()) } else { Err(Trouble::Stale) }
    }

    async fn take_step(&self, table: &TableName, step: &Step) -> Result<(), Trouble> {
        let taken = table_state::take_step(&*self.session, &self.consumer, table, step)
            .await
            .map_err(Trouble::database("could not write a table's state"))?;
        if taken { Ok(()) } else { Err(Trouble::Stale) }
    }

    pub(super) async fn commit(&mut self) -> Result<(), Trouble> {
        self.session
            .batch_execute("commit")
            .await
            .map_err(Trouble::database("could not commit on the subscriber"))?;
        self.made.extend(self.made_now.drain());
        self.conflicts.tell();
        Ok(())
    }

    /// Rolls the transaction back. What the applier has learnt of tables is forgotten too, as the tables may have
    /// changed.
    pub(crate) async fn rollback(&mut self) -> Result<(), Trouble> {
        self.made_now.clear();
        self.pending.clear();
        self.gathered.clear();
        self.writable.clear();
        self.session
            .batch_execute("rollback")
            .await
            .map_err(Trouble::database("could not roll back on the subscriber"))
    }
}
