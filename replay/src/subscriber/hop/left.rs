//! Ends the consumer at providers that the subscriber does not follow any more, as soon as they answer. Until then they
//! keep their events for it.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use sql::{
    connect::{ApplicationName, Purpose, Session},
    install::ownership::Schema,
    moment, provider,
    queue::{consumer, tick::Epoch},
    subscriber::{
        hop::{self, LeftUpstream},
        position,
    },
};
use tracing::{debug, info, warn};

use crate::{queue::leave, subscriber::shared::Subscription, trouble::Trouble};

/// Time between two tries.
const BETWEEN: Duration = Duration::from_secs(10);

/// Tries again and again until no such provider is left; then it waits for ever.
pub(crate) async fn run(sub: &Subscription) -> Infallible {
    let mut told = HashSet::new();
    loop {
        match turn(sub, &mut told).await {
            Ok(0) => std::future::pending::<()>().await,
            Ok(_) => {}
            Err(trouble) => {
                let (consumer, error) = (&sub.consumer, trouble.log_line());
                debug!(%consumer, %error, "cannot look for providers that were left");
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// One try at all of them; gives how many are left.
async fn turn(sub: &Subscription, told: &mut HashSet<i64>) -> Result<usize, Trouble> {
    let subscriber = sub.subscriber_session(Purpose::Admin).await?;
    let Some(stored) = position::find(&*subscriber, &sub.consumer).await? else {
        return Ok(0);
    };
    let mut still = 0;
    let all = hop::left(&*subscriber, &sub.consumer).await?;
    let named = if all.is_empty() {
        None
    } else {
        named(sub).await
    };
    for left in all {
        if left.epoch == stored.position.epoch {
            // It is followed again.
            hop::forget_left(&*subscriber, &sub.consumer, left.epoch).await?;
            continue;
        }
        if Some(left.epoch) == named {
            // A move there is tried again. Its tables may have no other consumer yet, whose log would end with it.
            still += 1;
            continue;
        }
        match end(sub, &left, stored.position.epoch).await {
            Ok(()) => {
                hop::forget_left(&*subscriber, &sub.consumer, left.epoch).await?;
                let address = left.address.as_deref().unwrap_or_default();
                info!(consumer = %sub.consumer, %address, "consumer ended at the provider before");
            }
            Err(trouble) => {
                still += 1;
                if told.insert(left.epoch.0) {
                    tell(sub, &left, &trouble);
                }
            }
        }
    }
    Ok(still)
}

/// The queue of the provider that the config names now; none: it does not answer, or has no such queue.
async fn named(sub: &Subscription) -> Option<Epoch> {
    let provider = sub.provider_session(Purpose::Admin).await.ok()?;
    let epoch = provider::queue_epoch(&*provider, &sub.settings.queue).await;
    epoch.ok().flatten()
}

fn tell(sub: &Subscription, left: &LeftUpstream, trouble: &Trouble) {
    let (queue, consumer) = (&sub.settings.queue, &sub.consumer);
    let advice = format!(
        "it is ended as soon as that provider answers; where it never will, run there: trunkline consumer \
         unregister {queue} {consumer}, and here: delete from trunkline.left_upstream where epoch = {}",
        left.epoch
    );
    let (address, error) = (left.address.as_deref(), trouble.log_line());
    warn!(%consumer, address, %error, %advice, "consumer left at the provider before, which keeps events for it");
}

/// Ends the consumer, its helpers and its capture at a provider. `followed`: the log that is read now.
async fn end(sub: &Subscription, left: &LeftUpstream, followed: Epoch) -> Result<(), Trouble> {
    let provider = connect(sub, left).await?;
    let (client, queue) = (&*provider, sub.settings.queue.as_str());
    if !is_still_there(sub, client, left.epoch, followed).await? {
        return Ok(());
    }
    moment::prepare(&provider).await?;
    let left = leave::run(client, queue, &sub.consumer).await;
    left.map_err(Trouble::queue)
}

async fn connect(sub: &Subscription, left: &LeftUpstream) -> Result<Session, Trouble> {
    let unknown = || {
        let doing = "could not connect to the provider before";
        Trouble::passing(doing, anyhow::anyhow!("it is not known where it is"))
    };
    let address = left.address.as_deref().ok_or_else(unknown)?;
    let there = sub.provider.at(address).map_err(|error| {
        let doing = "could not read where the provider before is";
        Trouble::passing(doing, anyhow::Error::new(error))
    })?;
    let name = ApplicationName::new(Purpose::Admin, &sub.settings.job);
    let session = there.connect_for(&name, Schema::PROVIDER).await;
    session.map_err(Trouble::connect("provider before"))
}

/// Whether the consumer may be registered in the queue that was left. That queue may be gone: its log may have begun
/// anew, without its consumers, and be followed again, or another server may have its address by now. A consumer of
/// this name there is somebody's.
async fn is_still_there(
    sub: &Subscription,
    client: &tokio_postgres::Client,
    epoch: Epoch,
    followed: Epoch,
) -> Result<bool, Trouble> {
    let queue = sub.settings.queue.as_str();
    let found = provider::queue_epoch(client, queue).await?;
    if found == Some(epoch) {
        return Ok(true);
    } else if found == Some(followed) {
        return Ok(false);
    }
    let known = consumer::list(client).await.map_err(Trouble::queue)?;
    let is_known = |one: &consumer::ConsumerInfo| one.queue == queue && one.name == sub.consumer;
    if known.iter().any(is_known) {
        let doing = "could not find the queue that was left";
        let why = "its address is that of another queue by now";
        return Err(Trouble::passing(doing, anyhow::anyhow!(why)));
    }
    Ok(false)
}
