//! PostgreSQL's built-in logical replication, with its default settings: the manual
//! recommends none (workers and senders are enough for eight subscribers, see `pair`).

use crate::pair::{DB, Pair};
use crate::peer::Peer;

/// One publication of all tables, one subscription for each subscriber.
pub(crate) struct Builtin;

impl Peer for Builtin {
    fn set_up(&mut self, pair: &Pair) {
        pair.provider
            .psql(DB, "create publication bench for all tables");
    }

    fn add_all(&mut self, pair: &Pair) {
        for target in &pair.targets {
            pair.subscriber.psql(
                target,
                &format!(
                    "create subscription {target} connection '{}' publication bench",
                    pair.provider.conninfo(DB)
                ),
            );
        }
    }

    fn in_sync(&mut self, pair: &Pair) -> bool {
        pair.every_subscriber(
            "select (count(*) filter (where srsubstate <> 'r') = 0 and count(*) > 0)::text \
             from pg_subscription_rel",
        )
    }

    fn stop_apply(&mut self, pair: &Pair) {
        for target in &pair.targets {
            pair.subscriber
                .psql(target, &format!("alter subscription {target} disable"));
        }
        tests::wait_until(
            "the apply workers to end",
            std::time::Duration::from_secs(30),
            || {
                pair.provider
                    .psql(DB, "select count(*) from pg_stat_replication")
                    == "0"
            },
        );
    }

    fn start_apply(&mut self, pair: &Pair) {
        for target in &pair.targets {
            pair.subscriber
                .psql(target, &format!("alter subscription {target} enable"));
        }
    }

    fn daemons(&self, pair: &Pair) -> Vec<i32> {
        // Built-in replication's daemons are processes of the servers.
        let pids = |cluster: &tests::Cluster, kinds: &str| {
            cluster.psql(
                "postgres",
                &format!("select pid from pg_stat_activity where backend_type in ({kinds})"),
            )
        };
        let there = pids(
            &pair.subscriber,
            "'logical replication launcher', 'logical replication worker'",
        );
        pids(&pair.provider, "'walsender'")
            .lines()
            .chain(there.lines())
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        // The applying process is a backend of the subscriber, whose resident size counts shared buffers.
        None
    }

    fn tear_down(&mut self, _pair: &Pair) {
        // The subscriptions end with the servers.
    }
}
