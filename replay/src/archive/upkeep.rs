//! What the daemon does for an archive now and then: it removes what the policy does not keep.

use std::{convert::Infallible, time::Duration};

use admin::config::{ArchiveConfig, RetentionPolicy};
use tracing::{info, warn};

use super::{
    expire,
    hook::{Event, Hook, What},
    identity::Identity,
    store::Store,
    turn::Turn,
};

/// Time between two looks. The first one is soon after the start, for daemons that do not run for as long.
const EVERY: Duration = Duration::from_secs(3600);
const FIRST: Duration = Duration::from_secs(3);

/// Looks again and again. An archive that keeps everything is never looked at.
pub(super) async fn run(
    config: ArchiveConfig,
    job: String,
    queue: String,
    hook: Hook,
) -> Infallible {
    if config.retention == RetentionPolicy::Everything {
        return std::future::pending().await;
    }
    tokio::time::sleep(FIRST).await;
    loop {
        let (config, job, queue, hook) = (config.clone(), job.clone(), queue.clone(), hook.clone());
        // It reads and removes files.
        let look = move || tell(&config, &hook, look(&config, &job, &queue));
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            warn!(%error, "expiring was not finished");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What went: bases, segments, bytes.
type Gone = (usize, usize, u64);

fn look(config: &ArchiveConfig, job: &str, queue: &str) -> anyhow::Result<Option<Gone>> {
    let store = Store::open(&config.address)?;
    let identity = Identity::read(&store, job, queue)?;
    let Some(turn) = Turn::take(&store)? else {
        return Ok(None);
    };
    let (policy, minimum) = (config.retention, config.minimum_redundancy);
    let plan = expire::plan(&store, &identity, policy, minimum)?;
    if plan.is_empty() {
        return Ok(None);
    }
    expire::carry_out(&store, &turn, &plan)?;
    Ok(Some((plan.bases.len(), plan.segments.len(), plan.bytes())))
}

fn tell(config: &ArchiveConfig, hook: &Hook, gone: anyhow::Result<Option<Gone>>) {
    let consumer = &config.consumer;
    match gone {
        Ok(None) => {}
        Ok(Some((bases, segments, bytes))) => {
            info!(%consumer, bases, segments, bytes, "expired");
            let details = format!("{bases} bases, {segments} segments, {bytes} bytes");
            hook.tell(Event::new(What::Expired, details));
        }
        Err(error) => {
            let error = format!("{error:#}");
            warn!(%consumer, %error, "nothing expires");
        }
    }
}
