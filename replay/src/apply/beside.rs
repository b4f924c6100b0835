//! A transaction beside the batch loop: a repair of rows without a key, which says how many more or fewer of a row a
//! table must have. Such a number stays right whatever the loop applies before or after it.

use std::sync::Arc;

use sql::{event::shape::Shape, queue::tick::TickId};
use tokio_postgres::Client;

use super::ApplyTx;
use crate::trouble::Trouble;

/// The batch loop waits behind this lock, and this lock behind everybody who writes the table.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '2s'";

impl ApplyTx<'_> {
    /// The session, for questions within the transaction.
    pub(crate) fn client(&self) -> &Client {
        &self.applier.session
    }

    /// Keeps everybody else from writing the table that takes the rows of a shape, until the transaction ends; it is
    /// readable. Two who take away one of two equal rows could else choose the same one. What was written before is
    /// committed by now.
    ///
    /// # Errors
    /// SQLSTATE 55P03: somebody writes it for longer than two seconds.
    pub(crate) async fn keep_others_off(&mut self, shape: &Arc<Shape>) -> Result<(), Trouble> {
        self.look_up([shape].into_iter()).await?;
        let writable = self.writable(shape)?;
        let (target, table) = (&writable.target, shape.table_name());
        let failed = || Trouble::at_table(&table, "could not lock it on the subscriber");
        let client = self.client();
        client.batch_execute(LOCK_TIMEOUT).await.map_err(failed())?;
        let lock = format!(
            "lock table {} in share row exclusive mode",
            target.own_rows()
        );
        target
            .acting
            .execute(client, &lock)
            .await
            .map_err(failed())?;
        Ok(())
    }

    /// Ends the transaction, and leaves the position and the table's state as they are.
    pub(crate) async fn commit_beside(mut self, tick: TickId) -> Result<(), Trouble> {
        self.settle(tick).await?;
        self.check_deferred().await?;
        self.commit().await
    }
}
