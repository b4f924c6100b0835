//! Ends all that a consumer has at a provider.

use sql::{
    Error,
    moment::{self, Tries},
    provider,
    queue::consumer,
};
use tokio_postgres::Client;

use crate::table::helper;

/// Ends capture for a consumer, the consumer itself and its helpers in a queue. The session's `lock_timeout` is to be a
/// moment ([`moment::prepare`]): each lock is tried for in moments. Safe to repeat.
///
/// # Errors
/// Those of the server, among them a lock that was not granted in time. Then a part is left.
pub(crate) async fn run(provider: &Client, queue: &str, name: &str) -> Result<(), Error> {
    for capture in provider::captures(provider, Some(queue)).await? {
        if !capture.is_of(name) {
            continue;
        }
        let tries = Tries::within(moment::LIMIT);
        while let Err(error) = provider::end_capture(provider, &capture, name).await {
            tries.again(error).await?;
        }
    }
    for one in consumer::list(provider).await? {
        let is_ours = one.name == name || helper::is_helper_of(&one.name, name);
        if one.queue == queue && is_ours {
            consumer::unregister(provider, queue, &one.name).await?;
        }
    }
    Ok(())
}
