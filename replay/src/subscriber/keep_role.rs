//! Keeps the tables of a standby closed to ordinary sessions: tables that are added and partitions that are made later,
//! too. Those that leave are opened. And has the standby capture them, so that it could become the provider, and log
//! what it applies where others could need that.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use sql::{
    connect::{Purpose, Session},
    moment::LockTimeout as _,
    role::{self, Role},
};
use tracing::{debug, info, warn};

use super::{ready, shared::Subscription};
use crate::trouble::Trouble;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// A look that takes long, because there are thousands of tables, takes this share of the time at most: one of so many.
const SHARE: u32 = 20;

/// What the log has been told of.
#[derive(Default)]
struct Told {
    /// The subscriber is no standby yet.
    is_none: bool,
    unready: ready::Told,
    /// What keeps the standby from logging for others.
    silent: Option<String>,
}

/// Follows the role until the future is dropped; it never ends by itself. An error here stops no other task: status
/// tells which tables take writes.
pub(crate) async fn run(sub: &Subscription) {
    if !sub.settings.standby {
        return std::future::pending().await;
    }
    let mut told = Told::default();
    loop {
        let Err(trouble) = looks(sub, &mut told).await;
        // The loops meet the same trouble, and report it.
        debug!(consumer = %sub.consumer, error = %trouble.chain(), "the role waits");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks again and again, until the session is lost or a query fails.
async fn looks(sub: &Subscription, told: &mut Told) -> Result<Infallible, Trouble> {
    let queue = &sub.settings.queue;
    let session = sub.subscriber_session(Purpose::Role).await?;
    let doing = "could not keep the role of the subscriber";
    loop {
        let roles = role::list(&*session).await.map_err(Trouble::sql(doing))?;
        let is_standby = |one: &role::NodeRole| one.queue == *queue && one.role == Role::Standby;
        let started = Instant::now();
        if roles.iter().any(is_standby) {
            match role::follow_role(&*session, queue).await {
                Ok(_) => {}
                Err(error) if error.is_lock_timeout() => {}
                Err(error) => return Err(Trouble::sql(doing)(error)),
            }
            ready::prepare(sub, &session, &mut told.unready).await?;
            relay(sub, &session, &mut told.silent).await?;
        } else if !told.is_none && !roles.iter().any(|one| one.queue == *queue) {
            told.is_none = true;
            warn!(
                consumer = %sub.consumer,
                advice = "run: replay install",
                "standby is set, and the subscriber is none yet"
            );
        }
        tokio::time::sleep(LOOK.max(started.elapsed() * SHARE)).await;
    }
}

/// Has the standby log what it applies, or not any more. The ticker's upkeep switches the triggers.
async fn relay(
    sub: &Subscription,
    session: &Session,
    told: &mut Option<String>,
) -> Result<(), Trouble> {
    let found = match role::relay(&**session, &sub.settings.queue, sub.settings.relay).await {
        Ok(found) => found,
        Err(error) if error.is_lock_timeout() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let consumer = &sub.consumer;
    if found.changed {
        let relays = found.relays;
        info!(%consumer, relays, "standby logs for its set");
    }
    if found.why != *told {
        if let Some(why) = &found.why {
            warn!(%consumer, error = %why, "standby does not log for its set yet");
        }
        *told = found.why;
    }
    Ok(())
}
