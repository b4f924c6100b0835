//! Where the changes in a queue come from: the nodes that they may have passed, and the ticks of other nodes' queues
//! that a tick contains. Types only.

use std::fmt;

use serde::Deserialize;
use tokio_postgres::Row;

/// Random identity of a node: a database that takes part in a replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The nodes that the changes of a queue may come from: the queue's own node first, then the nodes above. Empty if the
/// queue's node has no identity, because its schema came with a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePath(pub Vec<NodeId>);

impl NodePath {
    /// The path in a column of node ids; null is the empty path.
    pub(crate) fn of(row: &Row, column: usize) -> Result<NodePath, tokio_postgres::Error> {
        let ids: Option<Vec<i64>> = row.try_get(column)?;
        Ok(NodePath(
            ids.unwrap_or_default().into_iter().map(NodeId).collect(),
        ))
    }

    /// The path as a parameter of a statement.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.0.iter().map(|node| node.0).collect()
    }

    /// Whether changes that this node has written, or passed on, may come back to it. The queue's own node does not
    /// count: a node cannot read its own queue, and a database that was copied whole has the identity of the original.
    #[must_use]
    pub fn leads_back_to(&self, node: NodeId) -> bool {
        self.0.iter().skip(1).any(|above| *above == node)
    }
}

/// What the provider says of the tick that a batch ends with, and of the batch's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The ticks of other nodes' queues that the tick contains, nearest first, as JSON: `[[epoch, tick, tag], ...]`;
    /// none: the tick equals no tick of another queue. Source: `pgq.tick.tick_origins`.
    pub origins: Option<String>,
    /// The nodes that the batch's events may come from.
    pub path: NodePath,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_through_a_node_above_and_not_from_a_copy_of_the_own_database() {
        let path = NodePath(vec![NodeId(1), NodeId(2), NodeId(3)]);
        assert!(path.leads_back_to(NodeId(2)) && path.leads_back_to(NodeId(3)));
        assert!(!path.leads_back_to(NodeId(1)) && !path.leads_back_to(NodeId(4)));
        assert!(!NodePath::default().leads_back_to(NodeId(1)));
    }
}
