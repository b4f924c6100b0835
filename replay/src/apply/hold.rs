//! Holds the tables that a transaction writes: under the lock that writing takes anyway, the server checks that what
//! the session knows of each table still holds. Otherwise a table might have another owner than when it was looked up,
//! and code that this owner has put on the table would run as replay's role.
//!
//! Holding costs no round trip: the statement goes with one that is sent before anything is written. The prepared
//! statements of a table of replay's own role need no holding, because they have the proof in them
//! ([`Acting::proves_itself`](super::owner::Acting::proves_itself)).

use std::sync::Arc;

use sql::classify;
use tokio_postgres::{Error, error::SqlState};

use super::{ApplyTx, owner::Hold, writable::Writable};
use crate::trouble::Trouble;

/// Whether an error of holding tables says that a table has changed, is gone or cannot be held, and not that the server
/// or the session has failed.
pub(super) fn is_outdated(error: &Error) -> bool {
    error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || classify(error) == sql::Class::Operator
}

impl ApplyTx<'_> {
    /// The statement that holds the tables that the transaction does not hold yet; none if it holds all.
    pub(super) fn to_hold(&self, writable: &[Arc<Writable>]) -> Option<String> {
        let new = writable
            .iter()
            .map(|one| &one.target)
            .filter(|target| !self.done.held.contains(&target.shape.shape));
        Hold::ToWrite.statement(new.map(|target| &target.acting))
    }

    pub(super) fn note_held(&mut self, writable: &[Arc<Writable>]) {
        let shapes = writable.iter().map(|one| one.target.shape.shape);
        self.done.held.extend(shapes);
    }

    /// Holds tables until the transaction ends, and runs the statements that follow.
    ///
    /// # Errors
    /// [`Trouble::Stale`] if a table has changed since it was looked up: the transaction must be repeated.
    pub(super) async fn hold(
        &mut self,
        writable: &[Arc<Writable>],
        then: &str,
    ) -> Result<(), Trouble> {
        let hold = self.to_hold(writable);
        let statements: Vec<&str> = hold.as_deref().into_iter().chain([then]).collect();
        let done = self
            .applier
            .session
            .batch_execute(&statements.join("; "))
            .await;
        match done {
            Ok(()) => {
                self.note_held(writable);
                Ok(())
            }
            Err(error) if hold.is_some() && is_outdated(&error) => {
                Err(self.why_not_held(writable).await?)
            }
            Err(error) => Err(Trouble::database("could not set a savepoint")(error)),
        }
    }

    /// Finds the table that cannot be held. The tables are tried one at a time, since one statement for all does not
    /// say.
    async fn why_not_held(&mut self, writable: &[Arc<Writable>]) -> Result<Trouble, Trouble> {
        for one in writable {
            self.roll_chunk_back().await?;
            let table = one.target.shape.table_name();
            let held = one
                .target
                .acting
                .hold(&self.applier.session, &table, Hold::ToWrite);
            if let Err(trouble @ (Trouble::Table { .. } | Trouble::Operator { .. })) = held.await {
                return Ok(trouble);
            }
        }
        Ok(Trouble::Stale)
    }
}
