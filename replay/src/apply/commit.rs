//! The ends of a transaction on the subscriber: by a move of the position, also to another log, by a step of a table's
//! state, or by a rollback. Position and state change by compare-and-swap.

use sql::{
    event_log,
    name::TableName,
    queue::lineage::NodeId,
    subscriber::{
        hop::{self, Hop},
        position::Move,
        repair_key,
        table_state::{self, NamesNow, Step},
    },
};

use super::{Applier, ApplyTx};
use crate::trouble::Trouble;

/// What programs beside the node are told of a move to another log.
pub(crate) struct MoveTold<'a> {
    /// The queue.
    pub queue: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// What a person is told.
    pub details: &'a str,
    /// The node that is read from now on.
    pub upstream: Option<NodeId>,
}

impl ApplyTx<'_> {
    /// Ends the transaction by moving the consumer's position, and gives the number of rows that were written.
    pub(crate) async fn commit_move(mut self, step: Move) -> Result<u64, Trouble> {
        self.settle(step.to.id).await?;
        self.check_deferred().await?;
        self.swap_position(step).await?;
        let rows = self.rows();
        self.commit().await.map(|()| rows)
    }

    /// Ends the transaction by a step of a table's state.
    pub(crate) async fn commit_step(
        mut self,
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
        mut self,
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

    /// Ends the transaction by moving the consumer to another log, which is an event for the programs beside the node.
    pub(crate) async fn commit_hop(
        mut self,
        hop: &Hop<'_>,
        told: &MoveTold<'_>,
    ) -> Result<(), Trouble> {
        self.settle(hop.to.tick.id).await?;
        self.check_deferred().await?;
        let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
        if !hop::swap(session, consumer, hop).await? {
            return Err(Trouble::Stale);
        }
        let MoveTold { queue, event, .. } = told;
        let upstream = told.upstream.map(|node| node.0);
        event_log::tell(session, queue, event, true, told.details, upstream)
            .await
            .map_err(Trouble::sql("could not have an event told"))?;
        self.commit().await
    }

    pub(super) async fn swap_position(&self, step: Move) -> Result<(), Trouble> {
        let step = Move {
            conflicts: self.done.conflicts.count(),
            ..step
        };
        let moved = self
            .applier
            .mover
            .compare_and_swap(&*self.applier.session, &self.applier.consumer, &step)
            .await?;
        if moved { Ok(()) } else { Err(Trouble::Stale) }
    }

    async fn take_step(&self, table: &TableName, step: &Step) -> Result<(), Trouble> {
        let taken =
            table_state::take_step(&*self.applier.session, &self.applier.consumer, table, step)
                .await?;
        if taken { Ok(()) } else { Err(Trouble::Stale) }
    }

    /// Forgets the keys of a table, whose rows the transaction has written.
    pub(crate) async fn forget_keys(&self, table: &TableName) -> Result<(), Trouble> {
        let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
        Ok(repair_key::forget(session, consumer, table).await?)
    }

    /// Stores what a table is called on the provider by now.
    pub(crate) async fn note_names(&self, table_oid: u32, now: &NamesNow) -> Result<(), Trouble> {
        let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
        Ok(table_state::note_names(session, consumer, table_oid, now).await?)
    }

    pub(super) async fn commit(mut self) -> Result<(), Trouble> {
        self.applier
            .session
            .batch_execute("commit")
            .await
            .map_err(Trouble::database("could not commit on the subscriber"))?;
        self.is_ended = true;
        self.applier.made.extend(self.done.made.drain());
        self.done.conflicts.tell();
        for altered in &self.done.altered {
            altered.tell();
        }
        Ok(())
    }

    /// Ends the transaction without a trace, as [`Applier::rollback`] does.
    pub(crate) async fn rollback(mut self) -> Result<(), Trouble> {
        self.is_ended = true;
        self.applier.rollback().await
    }
}

impl Applier {
    /// Ends a transaction that was dropped without an end, if there is one. What was learnt of tables is forgotten
    /// too, as they may have changed.
    pub(crate) async fn rollback(&mut self) -> Result<(), Trouble> {
        self.writable.clear();
        self.session
            .batch_execute("rollback")
            .await
            .map_err(Trouble::database("could not roll back on the subscriber"))?;
        self.is_left_open = false;
        Ok(())
    }
}
