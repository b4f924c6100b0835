//! Tables that are `ok` and of which an operator has asked for the rows of some keys (`replay repair`). Such a table is
//! taken out of the batch loop, at the loop's position, and its own task fetches the rows (`mend`) and brings it back.

use sql::{
    connect::Session,
    queue::consumer,
    subscriber::{repair_key, table_state},
};
use tokio_postgres::error::SqlState;
use tracing::{info, warn};

use crate::{
    subscriber::{hold, shared::Subscription},
    table::helper,
    trouble::Trouble,
};

/// Tries in one look, of which each can be a moment too late. The next look tries again.
const TRIES: u32 = 10;

/// Takes the tables out.
///
/// The helper consumer is registered first, so that no event after the table's place is lost. It is not taken for a
/// left-over as long as the lock is held.
pub(super) async fn take_out(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<(), Trouble> {
    let tables = repair_key::asked(&**subscriber, &sub.consumer).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let _nobody_clears_meanwhile = sub.helpers.lock().await;
    for table in tables {
        let found = table_state::find(&**subscriber, &sub.consumer, &table).await?;
        let Some(row) = found else { continue };
        let helper = helper::parked(&sub.consumer, row.provider_oid);
        for _ in 0..TRIES {
            let at = hold::stored(sub, subscriber).await?.position;
            let tick = at.tick.id;
            match consumer::register_at(&**provider, &sub.settings.queue, &helper, tick).await {
                Ok(_) => {}
                // The queue has given away what comes after that tick. The other tables go on.
                Err(error) if error.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
                    let error = admin::exit::one_line(&error);
                    warn!(%table, tick = tick.0, %error, "table cannot leave the batch loop for a repair");
                    break;
                }
                Err(error) => return Err(Trouble::queue(error)),
            }
            if repair_key::take_out(&**subscriber, &sub.consumer, &table, at).await? {
                info!(%table, tick = tick.0, "table leaves the batch loop for a repair");
                break;
            }
        }
    }
    Ok(())
}
