//! What becomes of a failover whose command has died, from what the nodes that answer say of it. The elected node's own
//! row is the truth: once it says promoted, there is no way back. Before that node is promoted, the other nodes' rows
//! say that it may be. Pure.

use sql::operation::Step;
use sql::queue::lineage::NodeId;

/// What a node that answers says of the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The node.
    pub node: NodeId,
    /// Who takes the provider's place, as it knows.
    pub new: NodeId,
    /// How far it is there.
    pub step: Step,
}

/// How far the operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Nobody was elected: some nodes are held.
    Held,
    /// This node was elected, and may be the provider.
    Elected(NodeId),
    /// This node is the provider.
    Promoted(NodeId),
    /// It was given up on the node that was elected, or by those that know who was.
    GivenUp,
}

/// How far the operation is. `rows`: at least one runs.
pub(crate) fn course(rows: &[Row]) -> Course {
    let is_promoted = |step| {
        matches!(
            step,
            Step::Promoted | Step::Open | Step::Follow | Step::Done
        )
    };
    if let Some(new) = rows
        .iter()
        .find(|row| row.node == row.new && is_promoted(row.step))
    {
        return Course::Promoted(new.node);
    }
    // The others' rows are done only when the elected node was promoted, or when a later provider was heard of.
    let elected = rows
        .iter()
        .find(|row| row.step == Step::Promote || is_promoted(row.step));
    match elected {
        Some(row) => {
            let own = rows.iter().find(|one| one.node == row.new);
            match own {
                Some(own) if own.step == Step::Aborted => Course::GivenUp,
                Some(_) | None => Course::Elected(row.new),
            }
        }
        None if rows.iter().any(|row| row.step == Step::Aborted) => Course::GivenUp,
        None => Course::Held,
    }
}

#[cfg(test)]
#[allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]
mod tests;
