//! A transaction beside the batch loop: a repair of rows without a key, which says how many more or fewer of a row a
//! table must have. It counts them under its lock.

use std::{sync::Arc, time::Duration};

use sql::{event::shape::Shape, queue::tick::TickId};
use tokio_postgres::Client;

use super::ApplyTx;
use crate::trouble::Trouble;

impl ApplyTx<'_> {
    /// The session, for questions within the transaction.
    pub(crate) fn client(&self) -> &Client {
        &self.applier.session
    }

    /// Keeps everybody else from writing the table that takes the rows of a shape, until the transaction ends; it is
    /// readable. Two who take away one of two equal rows could else choose the same one. What was written before is
    /// committed by now. The batch loop waits behind this lock, and this lock behind everybody who writes the table.
    ///
    /// # Errors
    /// SQLSTATE 55P03: somebody writes it for longer than the patience.
    pub(crate) async fn keep_others_off(
        &mut self,
        shape: &Arc<Shape>,
        patience: Duration,
    ) -> Result<(), Trouble> {
        self.look_up([shape].into_iter()).await?;
        let writable = self.writable(shape)?;
        let (target, table) = (&writable.target, shape.table_name());
        let failed = || Trouble::at_table(&table, "could not lock it on the subscriber");
        let client = self.client();
        let limit = format!("set local lock_timeout = {}", patience.as_millis().max(1));
        client.batch_execute(&limit).await.map_err(failed())?;
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

    /// The lines of a question about the rows of the table that takes the rows of a shape.
    pub(crate) async fn lines(
        &mut self,
        shape: &Arc<Shape>,
        question: &str,
    ) -> Result<Vec<String>, Trouble> {
        let writable = self.writable(shape)?;
        let (target, table) = (&writable.target, shape.table_name());
        let failed = || Trouble::at_table(&table, "could not read it on the subscriber");
        let client = self.client();
        // Rows that a policy hides would count as missing.
        let all = "set local row_security = off; set local work_mem = '64MB'";
        client.batch_execute(all).await.map_err(failed())?;
        let lines = target.acting.lines(client, question).await;
        lines.map_err(failed())
    }

    /// Ends the transaction, and leaves the position and the table's state as they are.
    pub(crate) async fn commit_beside(mut self, tick: TickId) -> Result<(), Trouble> {
        self.settle(tick).await?;
        self.check_deferred().await?;
        self.commit().await
    }
}
