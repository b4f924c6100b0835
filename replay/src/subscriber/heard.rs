//! What a subscriber has heard last of the nodes above it.

use sql::queue::lineage::{NodeId, NodePath};

/// The subscriber's own identity, and the nodes above.
#[derive(Default)]
pub(crate) struct Heard {
    /// The identity of the subscriber's database; none if it is not read yet, or if its schema came with a dump.
    pub(super) own: Option<NodeId>,
    /// The nodes that the provider has named.
    pub(super) named: NodePath,
}
