//! A pool's session that goes back only when its work is done. A session with a half-finished COPY or transaction is
//! closed instead, also when its task is aborted.

use sql::connect::{Pool, Pooled};
use tokio_postgres::Client;

use crate::trouble::Trouble;

/// A session on loan.
pub(super) struct Borrowed(Option<Pooled>);

impl Borrowed {
    /// Takes a session of the pool; `node` is for the error.
    pub(super) async fn from(pool: &Pool, node: &str) -> Result<Borrowed, Trouble> {
        let object = pool.get().await.map_err(Trouble::pool(node))?;
        Ok(Borrowed(Some(object)))
    }

    /// The session.
    pub(super) fn client(&self) -> Result<&Client, Trouble> {
        // Only `give_back`, which consumes the loan, takes the session out.
        self.0
            .as_ref()
            .map(|object| &***object)
            .ok_or(Trouble::Stale)
    }

    /// Gives the session back, because the work is done.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Pooled::take(object));
        }
    }
}
