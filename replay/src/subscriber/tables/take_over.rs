//! The last step of a table on its way to `ok`: between two batches the batch loop applies the table's own events up to
//! the loop's position. From the next batch on the loop has the table.

use sql::{
    connect::Purpose,
    queue::lineage::Lineage,
    subscriber::{
        position::{Move, Position},
        table_state::{self, Deed, Place, TableRow},
    },
};

use super::own_events::OwnEvents;
use crate::{
    apply::Applier,
    subscriber::{scripts::elsewhere, shared::Subscription},
    trouble::Trouble,
};

/// Takes over a table that is caught up to a tick at or before the loop's position. One transaction has the rows, the
/// state `ok`, and the proof that neither the position nor the list of tables has changed.
pub(crate) async fn run(
    sub: &Subscription,
    applier: &mut Applier,
    (position, tables_version): (Position, i64),
    row: &TableRow,
    place: &Place,
) -> Result<(), Trouble> {
    applier.learn(row);
    let mut tx = applier.begin().await?;
    let mut lineage = Lineage::default();
    if place.tick.id < position.tick.id {
        let mut own = OwnEvents::open(
            sub.provider_session(Purpose::TakeOver).await?,
            sub.filter_session(row).await?,
            &sub.settings.queue,
            position.epoch,
            row,
            sub.settings.chunk_bytes,
        )
        .await?
        .altering(sub.replicates_columns);
        if let Some(batch) = own.find_up_to(place, position.tick.id).await? {
            sub.refuse_circle(&batch.lineage.path)
                .map_err(|trouble| trouble.at(&row.table))?;
            lineage.path = batch.lineage.path.clone();
            if let Err(trouble) = own.write(&mut tx, &batch).await {
                tx.rollback().await?;
                if let Some(script) = own.take_unknown() {
                    let stands = (position.epoch, batch.to.id);
                    elsewhere::is_known_by_now(sub, applier.session(), stands, &script).await?;
                }
                return Err(trouble);
            }
        }
    }
    let stay = Move {
        from: position,
        tables_version,
        to: position.tick,
        to_time: None,
        conflicts: 0,
        lineage,
        // The position stays.
        is_kept: false,
    };
    let step = table_state::step(&row.stand, Deed::TakeOver)?;
    tx.commit_step_at(&row.table, &step, stay).await
}
