//! Tells the provider how far the subscriber has applied the queue, so that the queue can give the events away.

use std::time::{Duration, Instant};

use sql::{connect::Session, provider, queue::consumer, subscriber::position};

use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// The provider is told a few times a second at most. Each time makes a new version of the consumer's row, which
/// a held snapshot keeps.
const BETWEEN_TELLS: Duration = Duration::from_millis(250);

/// When the provider was told last.
#[derive(Default)]
pub(super) struct Applied {
    told: Option<Instant>,
}

impl Applied {
    /// How long it is until the provider may be told again.
    pub(super) fn rest(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |told| {
            BETWEEN_TELLS.saturating_sub(told.elapsed())
        })
    }

    /// Moves the consumer to what the subscriber has durably applied, unless the provider was told just now.
    pub(super) async fn tell_if_due(
        &mut self,
        sub: &Subscription,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<(), Trouble> {
        if !self.rest().is_zero() {
            return Ok(());
        }
        tell(sub, provider, subscriber).await?;
        self.told = Some(Instant::now());
        Ok(())
    }
}

async fn tell(sub: &Subscription, provider: &Session, subscriber: &Session) -> Result<(), Trouble> {
    let queue = &sub.settings.queue;
    let stored = position::find(&**subscriber, &sub.consumer).await?;
    // None: not installed yet.
    let stands = stored.ok_or(Trouble::Stale)?.position.tick.id;
    if let Err(error) = consumer::advance(&**provider, queue, &sub.consumer, stands).await {
        let known = provider::consumer_position(&**provider, queue, &sub.consumer).await;
        return Err(match known {
            Ok(None) => Trouble::no_consumer(&sub.consumer, stands, error),
            Ok(Some(_)) | Err(_) => Trouble::queue(error),
        });
    }
    Ok(())
}
