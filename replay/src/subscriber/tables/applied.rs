//! Tells the provider how far the subscriber has applied the queue, so that the queue can give the events away, and so
//! that applications can wait until their changes are here (`trunkline.wait_replicated`).

use std::time::{Duration, Instant};

use sql::{connect::Session, provider, subscriber::position};

use crate::{
    subscriber::{hold::is_detached, shared::Subscription},
    trouble::Trouble,
};

/// The provider is told a few times a second at most while nobody waits. Each time makes a new version of the
/// consumer's row, which a held snapshot keeps.
const BETWEEN_TELLS: Duration = Duration::from_millis(250);

/// How long the provider is told after each batch once somebody there has waited: whoever waits for one change mostly
/// waits for the next one, too.
const AWAITED_FOR: Duration = Duration::from_secs(10);

/// When the provider was told last, and until when somebody there is taken to wait.
#[derive(Default)]
pub(super) struct Applied {
    told: Option<Instant>,
    awaited_until: Option<Instant>,
}

impl Applied {
    /// How long it is until the provider may be told again.
    pub(super) fn rest(&self) -> Duration {
        match self.told {
            Some(told) if !self.is_awaited() => BETWEEN_TELLS.saturating_sub(told.elapsed()),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn is_awaited(&self) -> bool {
        self.awaited_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Moves the consumer to what the subscriber has durably applied, unless the provider was told just now.
    pub(super) async fn tell_if_due(
        &mut self,
        sub: &Subscription,
        provider: &Session,
        subscriber: &Session,
    ) -> Result<(), Trouble> {
        // A queue that has given the events away has nobody to be told of.
        if !self.rest().is_zero() || !sub.is_held() {
            return Ok(());
        }
        let knew = self.is_awaited();
        if tell(sub, provider, subscriber, knew).await? {
            self.awaited_until = Some(Instant::now() + AWAITED_FOR);
            if !knew {
                // Whoever waits needs to know which tables are whole here.
                tell(sub, provider, subscriber, true).await?;
            }
        }
        self.told = Some(Instant::now());
        Ok(())
    }
}

/// Tells the provider; gives whether somebody waits there.
async fn tell(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
    with_tables: bool,
) -> Result<bool, Trouble> {
    let queue = &sub.settings.queue;
    let applied = position::applied(&**subscriber, &sub.consumer, with_tables).await?;
    // None: not installed yet.
    let applied = applied.ok_or(Trouble::Stale)?;
    let told =
        provider::tell_applied(&**provider, queue, &sub.consumer, &applied, with_tables).await;
    match told {
        Ok(awaited) => Ok(awaited),
        Err(error) if sub.settings.has_archives() && is_detached(&error) => {
            // The batch loop registers it again, where the queue has what follows or else an archive.
            sub.set_held(false);
            Ok(false)
        }
        Err(error) => {
            let stands = applied.position.tick.id;
            let known = provider::consumer_position(&**provider, queue, &sub.consumer).await;
            Err(match known {
                Ok(None) => Trouble::no_consumer(&sub.consumer, stands, error),
                Ok(Some(_)) | Err(_) => Trouble::queue(error),
            })
        }
    }
}
