//! Whether the subscriber's own queue logs what it applies. Then it applies tick by tick, and notes from where on.

use std::time::{Duration, Instant};

use sql::{
    connect::{Purpose, Session},
    subscriber::hop,
};
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
        let marked = hop::mark_logged(&**subscriber, &sub.consumer).await?;
        run("commit").await?;
        if marked > 0 {
            // Who follows a table from here learns of it at a tick that shows it: an idle queue has one a minute.
            run("begin read write").await?;
            hop::tick(&**subscriber, &sub.settings.queue).await?;
            run("commit").await?;
        }
    }
    Ok(is_news && found.relays)
}

/// Time between two deletions of ticks that nobody can come from any more.
const BETWEEN: Duration = Duration::from_secs(300);

/// The ticks that are kept for others who may come from the log that is read.
#[derive(Debug)]
pub(crate) struct AppliedTicks {
    /// When they are deleted next.
    next: Instant,
}

impl AppliedTicks {
    /// To be made when a batch loop opens.
    pub(crate) fn new() -> AppliedTicks {
        AppliedTicks {
            next: Instant::now(),
        }
    }

    /// Deletes those that are older than the subscriber's own queue.
    pub(crate) async fn forget_if_due(&mut self, sub: &Subscription) -> Result<(), Trouble> {
        if !sub.tick_by_tick.relays() || Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + BETWEEN;
        // The session that applies is read-only between two batches.
        let session = sub.subscriber_session(Purpose::Admin).await?;
        hop::forget_applied(&*session, &sub.consumer).await?;
        Ok(())
    }
}
