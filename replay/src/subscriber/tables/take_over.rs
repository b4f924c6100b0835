//! The last step of a table on its way to `ok`: the batch loop, at a border, applies the
//! table's own events up to its position, and from the next batch on the table is its own.

use sql::{
    connect::Purpose,
    subscriber::{
        position::Move,
        table_state::{self, Deed, Place, Stand, TableRow},
    },
};
use tracing::info;

use super::own_events::OwnEvents;
use crate::{subscriber::batch_loop::BatchLoop, trouble::Trouble};

/// Takes over a table that is caught up to a tick at or before the loop's position. One
/// transaction: the rows, the state `ok`, and proof that the position has not moved.
pub(crate) async fn run(
    this: &mut BatchLoop<'_>,
    row: &TableRow,
    place: &Place,
) -> Result<(), Trouble> {
    let sub = this.sub;
    this.applier.learn(row);
    this.applier.begin().await?;
    if place.tick.id < this.position.tick.id {
        let mut own = OwnEvents::open(
            sub.provider_session(Purpose::TakeOver).await?,
            sub.filter_session(row).await?,
            &sub.settings.queue,
            this.position.epoch,
            row,
            sub.settings.chunk_bytes,
        )
        .await?;
        if let Some(batch) = own.find_up_to(place, this.position.tick.id).await? {
            own.write(&mut this.applier, &batch).await?;
        }
    }
    let stay = Move {
        from: this.position,
        tables_version: this.in_sync.version,
        to: this.position.tick,
        to_time: None,
        conflicts: 0,
    };
    let step = table_state::step(&row.stand, Deed::TakeOver)?;
    this.applier.commit_step_at(&row.table, &step, stay).await?;
    this.table_is_ok(row);
    Ok(())
}

impl BatchLoop<'_> {
    /// Notes that a table is in sync, and says so.
    fn table_is_ok(&mut self, row: &TableRow) {
        info!(
            table = %row.table,
            rows = row.rows_copied,
            bytes = row.bytes_copied,
            seconds = row.seconds_since_start.unwrap_or_default(),
            "table in sync"
        );
        self.in_sync.tables.insert(row.standing(&Stand::Ok));
        self.sub.for_tables.notify_one();
    }
}
