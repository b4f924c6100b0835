//! The subscriber's position, and whether the queue holds the events after it.

use sql::{
    connect::Session,
    provider,
    queue::consumer,
    role,
    subscriber::position::{self, Position, Stored},
};

use tokio_postgres::error::SqlState;
use tracing::info;

use super::shared::Subscription;
use crate::{archive::hold::is_gone, queue::track::OffTrack, trouble::Trouble};

/// The stored position of a consumer, which exists if the subscriber is installed.
pub(crate) async fn stored(sub: &Subscription, subscriber: &Session) -> Result<Stored, Trouble> {
    if let Some(stored) = position::find(&**subscriber, &sub.consumer).await? {
        return Ok(stored);
    }
    let missing = anyhow::anyhow!("trunkline.position has no row of it");
    if sub.settings.of_several && role::serves(&**subscriber, &sub.settings.queue).await? {
        // The next meeting ends the loops.
        let doing = "the node has become the provider, and applies nothing";
        return Err(Trouble::passing(doing, missing));
    }
    Err(Trouble::Operator {
        doing: format!(
            "consumer {} is not installed on the subscriber",
            sub.consumer
        ),
        advice: "run `replay install`".into(),
        source: missing,
    })
}

/// Makes sure that the queue holds the events after the subscriber's position. If the subscriber was restored from a
/// backup, the provider believes that it is further on than it is, and would drop events while they are read. Notes
/// where the queue has given the events away, and the subscriber is fed from an archive until the queue has what
/// follows.
pub(crate) async fn hold_queue(
    sub: &Subscription,
    provider: &Session,
    stands: Position,
) -> Result<(), Trouble> {
    let is_held = hold(sub, provider, stands).await?;
    if is_held && !sub.is_held() {
        let (consumer, tick) = (&sub.consumer, stands.tick.id.0);
        info!(%consumer, tick, "consumer registered again");
    }
    sub.set_held(is_held);
    Ok(())
}

/// Whether the queue holds the events after the subscriber's position, or an archive may have them.
async fn hold(sub: &Subscription, provider: &Session, stands: Position) -> Result<bool, Trouble> {
    let (queue, tick) = (&sub.settings.queue, stands.tick.id);
    let known = provider::consumer_position(&**provider, queue, &sub.consumer).await?;
    let Some(known) = known else {
        if let Some(other) = other_queue(sub, provider, stands).await? {
            return Err(other.into());
        }
        // The queue's own error tells the case: there is no consumer, or it was detached.
        let Err(why) = consumer::advance(&**provider, queue, &sub.consumer, tick).await else {
            return Err(Trouble::Stale);
        };
        if !is_detached(&why) || !sub.settings.has_archives() {
            return Err(Trouble::no_consumer(&sub.consumer, tick, why));
        }
        return match consumer::register_at(&**provider, queue, &sub.consumer, tick).await {
            Ok(_) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(Trouble::queue(error)),
        };
    };
    if known.epoch != stands.epoch {
        let (stored, now) = (stands.epoch.0, known.epoch.0);
        return Err(OffTrack::OtherEpoch { stored, now }.into());
    }
    // The reader reports a position off the provider's track.
    if known.tick.id <= tick {
        return Ok(true);
    }
    match consumer::register_at(&**provider, queue, &sub.consumer, tick).await {
        Ok(_) => Ok(true),
        Err(error) if error.class() == sql::Class::Transient => Err(Trouble::queue(error)),
        Err(gone) if sub.settings.has_archives() && is_gone(&gone) => Ok(false),
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

/// Whether the queue has detached the consumer that an error is about: it held too much.
pub(crate) fn is_detached(error: &sql::Error) -> bool {
    error.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
}

/// That the provider's queue is another one than that of the subscriber's position, where no tick and no table's number
/// means what it means to the subscriber; none: it is not.
async fn other_queue(
    sub: &Subscription,
    provider: &Session,
    stands: Position,
) -> Result<Option<OffTrack>, Trouble> {
    let now = provider::queue_epoch(&**provider, &sub.settings.queue).await?;
    let other = now.filter(|epoch| *epoch != stands.epoch);
    Ok(other.map(|epoch| OffTrack::OtherEpoch {
        stored: stands.epoch.0,
        now: epoch.0,
    }))
}

/// Refuses to work with a provider that the subscriber does not follow yet. The batch loop reports it.
pub(crate) async fn is_followed(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<(), Trouble> {
    let stands = stored(sub, subscriber).await?.position;
    match other_queue(sub, provider, stands).await? {
        None => Ok(()),
        Some(_) => Err(Trouble::Stale),
    }
}
