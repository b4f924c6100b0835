//! Where the subscriber stands, and that the queue keeps what follows.

use sql::{
    connect::Session,
    provider,
    queue::consumer,
    subscriber::position::{self, Position, Stored},
};

use super::shared::Subscription;
use crate::{queue::track::OffTrack, trouble::Trouble};

/// The stored position of a consumer, which an installed subscriber has.
pub(crate) async fn stored(sub: &Subscription, subscriber: &Session) -> Result<Stored, Trouble> {
    position::find(&**subscriber, &sub.consumer)
        .await
        .map_err(Trouble::database("could not read the position"))?
        .ok_or_else(|| Trouble::Operator {
            doing: format!(
                "consumer {} is not installed on the subscriber",
                sub.consumer
            ),
            advice: "run `replay install`".into(),
            source: anyhow::anyhow!("trunkline.position has no row of it"),
        })
}

/// Makes sure that the queue keeps what follows the subscriber's position. The provider may
/// believe the subscriber further on than it is, where that was restored from a backup, and
/// would give events away under the reader's hands.
pub(crate) async fn hold_queue(
    sub: &Subscription,
    provider: &Session,
    stands: Position,
) -> Result<(), Trouble> {
    let (queue, tick) = (&sub.settings.queue, stands.tick.id);
    let known = provider::consumer_position(&**provider, queue, &sub.consumer)
        .await
        .map_err(Trouble::database(
            "could not ask the provider for the consumer",
        ))?;
    let Some(known) = known else {
        // The queue's own words for it: there is none, or it was detached.
        return match consumer::advance(&**provider, queue, &sub.consumer, tick).await {
            Err(why) => Err(Trouble::no_consumer(&sub.consumer, tick, why)),
            Ok(_) => Err(Trouble::Stale),
        };
    };
    // A position off the provider's track is the reader's to tell.
    if known.epoch != stands.epoch || known.tick.id <= tick {
        return Ok(());
    }
    match consumer::register_at(&**provider, queue, &sub.consumer, tick).await {
        Ok(_) => Ok(()),
        Err(error) if error.class() == sql::Class::Transient => Err(Trouble::queue(error)),
        Err(gone) => {
            let lost = OffTrack::Behind { stored: tick.0 };
            Err(Trouble::Operator {
                doing: "stopped, nothing was applied".into(),
                advice: lost.advice().into(),
                source: anyhow::Error::new(gone).context(lost),
            })
        }
    }
}
