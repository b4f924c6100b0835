//! Whether the subscriber's own queue logs what it applies. Then it applies tick by tick, and notes from where on.

use sql::{connect::Session, subscriber::hop};
use tracing::info;

use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// Looks whether others may come to the subscriber's queue from the log that it reads. To be called between two
/// batches, and before anything is read for a batch loop. True if batches are single ticks from now on, and were not
/// before.
pub(crate) async fn look(sub: &Subscription, subscriber: &Session) -> Result<bool, Trouble> {
    let found = hop::relaying(&**subscriber, &sub.consumer).await?;
    let is_news = sub.tick_by_tick.relay(found.relays);
    if is_news {
        let (consumer, relays) = (&sub.consumer, found.relays);
        info!(%consumer, relays, "written tables are captured for others");
    }
    if found.unmarked {
        // The session is read-only outside of transactions that say otherwise.
        let run = async |sql: &str| {
            let done = subscriber.batch_execute(sql).await;
            done.map_err(Trouble::database(
                "could not note since when tables are logged",
            ))
        };
        run("begin read write").await?;
        hop::mark_logged(&**subscriber, &sub.consumer).await?;
        run("commit").await?;
    }
    Ok(is_news && found.relays)
}
