//! What replay writes, whole: each kind of statement, transaction and row, from the provider's
//! commit to the subscriber's.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a panic is the report"
)]

mod catalog;
mod constraints;
mod latency;
mod paths;
mod prepared;
mod progress;
mod rows;
mod transactions;
mod unique;
mod unruly;

use tests::{Cluster, ClusterBuilder, Replication, ReplicationBuilder, Server};

/// A server of a version.
fn version(major: u32) -> ClusterBuilder {
    match major {
        15 => Cluster::builder(&Server::debian15()),
        other => Cluster::builder(&Server::version(other)),
    }
}

/// A replication between two versions, to be described further.
fn between(provider: u32, subscriber: u32) -> ReplicationBuilder {
    Replication::builder()
        .provider(version(provider))
        .subscribers(vec![version(subscriber)])
}

/// Everything is applied, and no row was another one than its change said.
fn synced_and_clean(replication: &Replication) {
    replication.assert_followed(&[]);
    replication.assert_no_conflicts();
}
