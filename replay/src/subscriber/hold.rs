//! The subscriber's position, and whether the queue holds the events after it.

use sql::{
    connect::Session,
    provider,
    queue::consumer,
    subscriber::position::{self, Position, Stored},
};

use super::shared::Subscription;
use crate::{queue::track::OffTrack, trouble::Trouble};

/// The stored position of a consumer, which exists if the subscriber is installed.
pub(crate) async fn stored(sub: &Subscription, subscriber: &Session) -> Result<Stored, Trouble> {
    position::find(&**subscriber, &sub.consumer)
        .await?
        .ok_or_else(|| Trouble::Operator {
            doing: format!(
                "consumer {} is not installed on the subscriber",
                sub.consumer
            ),
            advice: "run `replay install`".into(),
            source: anyhow::anyhow!("trunkline.position has no row of it"),
        })
}

/// Makes sure that the queue holds the events after the subscriber's position. If the subscriber was restored from a
/// backup, the provider believes that it is further on than it is, and would drop events while they are read.
pub(crate) async fn hold_queue(
    sub: &Subscription,
    provider: &Session,
    stands: Position,
) -> Result<(), Trouble> {
    let (queue, tick) = (&sub.settings.queue, stands.tick.id);
    let known = provider::consumer_position(&**provider, queue, &sub.consumer).await?;
    let Some(known) = known else {
        // The queue's own error tells the case: there is no consumer, or it was detached.
        return match consumer::advance(&**provider, queue, &sub.consumer, tick).await {
            Err(why) => Err(Trouble::no_consumer(&sub.consumer, tick, why)),
            Ok(_) => Err(Trouble::Stale),
        };
    };
    // The reader reports a position off the provider's track.
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
