//! A small batch in two round trips, so that a subscriber that is level stays level however far away it is:
//!
//! 1. `begin`, the statement that holds the tables whose rows do not prove it themselves, a savepoint, each row and the
//!    move of the position are sent together, before any answer is read.
//! 2. `commit` is sent if all answers are as expected.
//!
//! What may happen:
//!
//! - A row is not as its change says, or is refused. The transaction is rolled back to the savepoint, the position with
//!   it, and the batch is written carefully, in the same transaction.
//! - A table is not as it was when it was looked up (`hold`). The server runs neither the statement that found it nor
//!   those that follow. The transaction is rolled back, and the batch is written in the usual way, after a new look-up.
//! - The position is not where the move begins. Nothing is committed.
//! - `begin` alone fails, because somebody cancels it. The statements behind it would run all the same, each in a
//!   transaction of its own: rows without their position, and half a batch. So the session is read-only by default and
//!   only `begin` makes its transaction writable; then all these statements fail, too.
//! - The process or a connection ends. Before the `commit` arrives the server rolls back; after it, the position says
//!   what was committed.

use std::sync::Arc;

use futures::join;
use sql::subscriber::session_role::SessionRole;
use sql::{classify, subscriber::position::Move};
use tokio_postgres::error::SqlState;

use super::{
    Applier, ApplyTx, hold::is_outdated, pipeline::Pipeline, ways::is_small, writable::Writable,
};
use crate::{fold::ChangeSet, trouble::Trouble};

impl Applier {
    /// Makes the session read-only outside of transactions that [`Applier::begin`] or [`Applier::apply_at_once`] open,
    /// or that say `read write` themselves.
    pub(crate) async fn guard(&self) -> Result<(), Trouble> {
        self.session
            .batch_execute("set default_transaction_read_only = on")
            .await
            .map_err(Trouble::database("could not set the apply session up"))
    }

    /// Applies a whole small batch, moves the position and commits; gives the number of rows that were written. None if
    /// the batch cannot be applied in this way: then nothing was done, and no transaction is open.
    pub(crate) async fn apply_at_once(
        &mut self,
        sets: &[&ChangeSet],
        step: Move,
    ) -> Result<Option<u64>, Trouble> {
        let Some(writable) = self.small_ones(sets) else {
            return Ok(None);
        };
        if self.is_left_open {
            self.rollback().await?;
            return Ok(None);
        }
        let work: Vec<(&ChangeSet, &Writable)> = sets
            .iter()
            .copied()
            .zip(writable.iter().map(Arc::as_ref))
            .collect();
        let mut tx = ApplyTx::new(self);
        let held: Vec<Arc<Writable>> = writable
            .iter()
            .filter(|one| !one.target.acting.proves_itself())
            .cloned()
            .collect();
        let begin = tx.start(&held);
        let session = &tx.applier.session;
        let mut pipeline = Pipeline::new(session);
        tx.load(&mut pipeline, &work);
        // The first poll of each sends its messages, and they are polled in this order.
        let (begun, written, moved) = join!(
            session.batch_execute(&begin),
            pipeline.run(),
            tx.swap_position(step.clone())
        );
        if let Err(error) = begun {
            if !is_outdated(&error) {
                return Err(Trouble::database("could not begin on the subscriber")(
                    error,
                ));
            }
            tx.rollback().await?;
            return Ok(None);
        }
        tx.done.rows = sets.iter().map(|set| set.len() as u64).sum();
        match written {
            Ok(true) => {
                moved?;
                let rows = tx.rows();
                tx.commit().await?;
                return Ok(Some(rows));
            }
            Ok(false) => {}
            // Also if code on a table says so: then it says it again, and is heard.
            Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                tx.rollback().await?;
                return Ok(None);
            }
            Err(error) if classify(&error) == sql::Class::Transient => {
                return Err(Trouble::database("could not write to the subscriber")(
                    error,
                ));
            }
            // The careful way finds the table at fault.
            Err(_) => {}
        }
        tx.roll_chunk_back().await?;
        // The statements over sets do not prove it.
        tx.hold(&writable, "release savepoint chunk; savepoint chunk")
            .await?;
        for (set, writable) in &work {
            tx.write_carefully(set, writable, step.to.id).await?;
        }
        tx.commit_move(step).await.map(Some)
    }

    /// The targets of sets that can all be written a row at a time; none if some set cannot, or if a target must be
    /// looked up first.
    fn small_ones(&self, sets: &[&ChangeSet]) -> Option<Vec<Arc<Writable>>> {
        // Enforced foreign keys require an order, and a check before the position moves.
        if self.session_role != SessionRole::Replica {
            return None;
        }
        let small = |set: &ChangeSet| {
            let writable = self.writable.get(&set.shape.shape)?;
            let is_known = self.mappings.get(&set.shape.table.oid) == Some(&writable.mapping);
            let fits = is_known && !set.truncate && is_small(set, writable, self.session_role);
            fits.then(|| Arc::clone(writable))
        };
        sets.iter().map(|set| small(set)).collect()
    }
}
