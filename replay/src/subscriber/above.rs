//! The nodes above a subscriber, and that the subscriber is none of them: no change may come back to a node that wrote
//! it or passed it on.
//!
//! A node stores a node above it before it writes the first of its changes, or in the same transaction. Each tick of
//! its own queue says, in the snapshot that it shows, which nodes are stored. So no batch brings a change of a node
//! that is not in the batch's path, however many nodes are in between: a node that finds itself there stops, and has
//! not applied the change.
//!
//! That alone would stop a circle when its first change comes round. To stop earlier, the nodes that the provider names
//! are stored before it is asked again: of two nodes that turn to each other at the same moment at least one sees it.

use std::sync::{MutexGuard, PoisonError};

use sql::{
    connect::Session,
    provider,
    queue::lineage::NodePath,
    subscriber::path::{self, own_node},
};

use super::{heard::Heard, shared::Subscription};
use crate::trouble::Trouble;

const ADVICE: &str = "a table can be written at one node of a circle only: remove it from one of the jobs (replay \
     remove TABLE); a job that still stops has it copied again: replay resync TABLE";

/// Stores the nodes that the provider names, until the provider names the stored ones. Gives them.
///
/// # Errors
/// [`Trouble::Operator`] if the subscriber itself is one of them.
pub(crate) async fn join(
    sub: &Subscription,
    provider: &Session,
    subscriber: &Session,
) -> Result<NodePath, Trouble> {
    let own = own_node(&**subscriber).await?;
    sub.heard().own = own;
    loop {
        let path = provider::node_path(&**provider, &sub.settings.queue).await?;
        sub.refuse_circle(&path)?;
        let is_news = path::follow(&**subscriber, &sub.consumer, &path).await?;
        sub.heard().named = path.clone();
        if !is_news {
            return Ok(path);
        }
    }
}

/// Stores the nodes whose changes are about to be written.
///
/// # Errors
/// [`Trouble::Operator`] if the subscriber itself is one of them; nothing is stored then.
pub(crate) async fn take_in(
    sub: &Subscription,
    subscriber: &Session,
    path: &NodePath,
) -> Result<(), Trouble> {
    sub.refuse_circle(path)?;
    path::extend(&**subscriber, &sub.consumer, path).await?;
    Ok(())
}

impl Subscription {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that the provider has named last.
    pub(crate) fn named(&self) -> NodePath {
        self.heard().named.clone()
    }

    /// Refuses changes that may come from this subscriber itself.
    pub(crate) fn refuse_circle(&self, path: &NodePath) -> Result<(), Trouble> {
        let own = self.heard().own;
        match own {
            Some(own) if path.leads_back_to(own) => Err(Trouble::Operator {
                doing: "stopped, nothing was applied".into(),
                advice: ADVICE.into(),
                source: anyhow::anyhow!(
                    "circle: queue {} of the provider carries changes of this subscriber (node {own})",
                    self.settings.queue
                ),
            }),
            Some(_) | None => Ok(()),
        }
    }
}
