//! Has a standby capture its own tables and sequences, as the provider captures them: for the set, so that nothing is
//! logged while replay writes and nobody reads here. With that the standby can become the provider in one moment.

use std::collections::HashMap;

use admin::log::Once;
use sql::{
    connect::{Purpose, Session},
    moment::{self, LockTimeout as _},
    name::TableName,
    provider::{self, WantedIdentity},
    subscriber::position,
    successor::{self, SET, Unready},
};
use tracing::{info, warn};

use super::shared::Subscription;
use crate::trouble::Trouble;

/// What the log has been told of: tables and sequences that cannot be captured yet.
pub(super) type Told = Once<TableName>;

/// Captures what is not captured yet, and ends the capture of what has left. What is locked by others, or cannot be
/// captured, is left for the next call.
///
/// # Errors
/// Those of the sessions. The node is not promotable meanwhile, and says what is missing.
pub(super) async fn prepare(
    sub: &Subscription,
    own: &Session,
    told: &mut Told,
) -> Result<(), Trouble> {
    let queue = sub.settings.queue.as_str();
    if !successor::is_installed(&**own).await? {
        return Ok(());
    }
    let unready = successor::unready(&**own, queue).await?;
    if unready.is_empty() {
        return Ok(());
    }
    moment::prepare(own).await?;
    let has_tables = unready
        .iter()
        .any(|one| matches!(one, Unready::Table { .. }));
    let identities = if has_tables {
        let provider = sub.provider_session(Purpose::Role).await?;
        let stored = position::find(&**own, &sub.consumer).await?;
        let epoch = provider::queue_epoch(&*provider, queue).await?;
        if epoch.is_none() || epoch != stored.map(|stored| stored.position.epoch) {
            // The numbers of the tables are those of another node, as long as the move has not come to its end.
            return Ok(());
        }
        successor::identities(&*provider, queue).await?
    } else {
        HashMap::new()
    };
    let mut captured = 0;
    for one in unready {
        let (name, done) = match one {
            Unready::Table {
                table,
                provider_oid,
            } => {
                let identity = identities.get(&provider_oid);
                let identity = identity.unwrap_or(&WantedIdentity::Own);
                let done = provider::add_table(&**own, queue, SET, &table, identity).await;
                (table, done)
            }
            Unready::Sequence(sequence) => {
                let done = provider::add_sequence(&**own, queue, SET, &sequence).await;
                (sequence, done)
            }
            Unready::Unused(sequence) => {
                let done = provider::remove_sequence(&**own, queue, SET, &sequence).await;
                (sequence, done)
            }
            Unready::Removed { table, oid } => {
                let done = provider::remove_table(&**own, queue, SET, &table, Some(oid)).await;
                (table, done)
            }
        };
        match done {
            Ok(_) => {
                captured += 1;
                told.over(&name);
            }
            Err(error) if error.is_lock_timeout() => {}
            Err(error) if error.answer().is_none() => return Err(error.into()),
            Err(error) => {
                let text = admin::exit::log_line(&error);
                if told.say(name.clone(), &text) {
                    let hint = error.hint();
                    let consumer = &sub.consumer;
                    warn!(%consumer, object = %name, error = %text, advice = hint, "standby is not ready");
                }
            }
        }
    }
    if captured > 0 {
        info!(consumer = %sub.consumer, objects = captured, "standby captures for its set");
    }
    Ok(())
}
