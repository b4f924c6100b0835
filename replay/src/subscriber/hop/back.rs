//! The way back of a subscriber that has applied more of a former provider's log than the later provider has begun
//! with, as after a failover that was made without it: both were cut off together, or the one that was elected had
//! less.
//!
//! 1. The former provider comes back. What it has taken after the place where the later one begins is kept there and
//!    sent to the later one (`crate::lost`): nothing that the subscriber has of it is here alone.
//! 2. The subscriber asks the later provider for the tables and the keys of these changes.
//! 3. In one transaction its position becomes the place, and tables that were written go on from there by themselves:
//!    the rows of the keys are fetched as on a former provider that comes back (`super::super::tables::mend`), or the
//!    table is copied. All others are as they were at the place.
//! 4. From there it moves as any other one.
//!
//! Until step 1 it waits, and says for whom: it may be the only one that has the changes.

use std::collections::HashMap;

use sql::{
    beyond::{self, Beyond, Way, Written},
    connect::Session,
    event_log,
    subscriber::{
        position::{self, Stored},
        step_back,
    },
};
use tracing::warn;

use super::super::shared::Subscription;
use crate::trouble::Trouble;

/// Keys of one statement.
const PORTION: i32 = 1_000;

const DOING: &str = "could not go back to where the later provider begins";

/// Goes back, and gives what is stored then. None: the provider has not begun at an earlier tick of the subscriber's
/// log.
///
/// # Errors
/// [`Trouble::Passing`] while the former provider has not told what it has taken; [`Trouble::Operator`] if it cannot
/// tell.
pub(super) async fn go(
    sub: &Subscription,
    admin: &Session,
    provider: &Session,
    stored: &Stored,
) -> Result<Option<Stored>, Trouble> {
    let (queue, consumer) = (sub.settings.queue.as_str(), sub.consumer.as_str());
    let Some(found) = beyond::ask(&**provider, queue, stored.position).await? else {
        return Ok(None);
    };
    let old = found.old_name.as_deref().unwrap_or("the former provider");
    let (tick, border) = (stored.position.tick.id.0, found.border.tick.id.0);
    let more = format!(
        "the subscriber has applied tick {tick} of the log of {old}, and the later provider begins after tick {border}"
    );
    let tables = match &found.written {
        Written::Tables(tables) => tables,
        Written::Unknown => {
            return Err(Trouble::Passing {
                doing: "waits for what the later provider never had".into(),
                advice: Some(format!(
                    "start server, ticker and replay of {old}: its changes are kept then; if it is gone for ever, or \
                     has told an earlier provider, look at what this database alone may have, then: replay adopt"
                )),
                source: anyhow::anyhow!(more),
            });
        }
        Written::Gone => {
            return Err(Trouble::Operator {
                doing: "stopped, nothing was applied".into(),
                advice: "copy the tables again: replay adopt".into(),
                source: anyhow::anyhow!("{more}; the log of {old} does not hold what is between"),
            });
        }
    };
    if stored.rests() {
        return Err(Trouble::passing(
            DOING,
            anyhow::anyhow!("{more}; it is held or paused"),
        ));
    }
    let keys = step(sub, admin, provider, stored, &found, tables).await?;
    let tables = tables.len();
    warn!(%consumer, from = tick, to = border, keys, tables, "went back to where the later provider begins");
    let details =
        format!("went back from tick {tick} to {border} of the log of {old}: {tables} tables");
    event_log::tell(&**admin, queue, "ahead", true, &details, None).await?;
    Ok(position::find(&**admin, consumer).await?)
}

/// Step 3; gives the number of keys that the provider has named.
async fn step(
    sub: &Subscription,
    admin: &Session,
    provider: &Session,
    stored: &Stored,
    found: &Beyond,
    tables: &HashMap<u32, Way>,
) -> Result<usize, Trouble> {
    let (queue, consumer) = (sub.settings.queue.as_str(), sub.consumer.as_str());
    let of = |wanted: Way| -> Vec<u32> {
        let these = tables.iter().filter(|(_, way)| **way == wanted);
        these.map(|(oid, _)| *oid).collect()
    };
    let (keys, copies) = (of(Way::Keys), of(Way::Copy));
    let begun = admin.batch_execute("begin").await;
    begun.map_err(Trouble::database(DOING))?;
    let stepped = async {
        let (from, version) = (stored.position, stored.tables_version);
        let lists = (keys.as_slice(), copies.as_slice());
        if !step_back::run(&**admin, consumer, from, version, found.border, lists).await? {
            return Err(Trouble::Stale);
        }
        let (mut after, mut count) = (-1, 0);
        loop {
            let portion = beyond::keys(&**provider, queue, found.border, after, PORTION).await?;
            let Some(last) = portion.last() else {
                return Ok(count);
            };
            after = last.number;
            count += portion.len();
            let keys: Vec<(u32, &str, &[String])> = portion
                .iter()
                .map(|one| (one.table_oid, one.key.as_str(), one.columns.as_slice()))
                .collect();
            step_back::add_keys(&**admin, consumer, &keys).await?;
        }
    };
    match stepped.await {
        Ok(count) => {
            let done = admin.batch_execute("commit").await;
            done.map_err(Trouble::database(DOING))?;
            Ok(count)
        }
        Err(trouble) => {
            // The session is used again: what failed must not stay open in it.
            let _ = admin.batch_execute("rollback").await;
            Err(trouble)
        }
    }
}
