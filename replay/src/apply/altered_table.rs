//! What is logged of a change of a table's columns, once it is committed.

use sql::{name::TableName, queue::tick::TickId};
use tracing::info;

/// A change of a table that the open transaction has made.
#[derive(Clone, Debug)]
pub(super) struct AlteredTable {
    pub(super) table: TableName,
    pub(super) doing: String,
    pub(super) tick: TickId,
}

impl AlteredTable {
    /// Logs the change, which is committed.
    pub(super) fn tell(&self) {
        let AlteredTable { table, doing, tick } = self;
        info!(%table, %doing, tick = tick.0, "table altered");
    }
}
