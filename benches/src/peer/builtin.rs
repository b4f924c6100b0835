//! PostgreSQL's built-in logical replication, with its default settings.

use crate::pair::{DB, Pair};
use crate::peer::Peer;

/// One publication of all tables, one subscription.
pub(crate) struct Builtin;

impl Peer for Builtin {
    fn set_up(&mut self, pair: &Pair) {
        pair.provider
            .psql(DB, "create publication bench for all tables");
    }

    fn add_all(&mut self, pair: &Pair) {
        pair.subscriber.psql(
            DB,
            &format!(
                "create subscription bench connection '{}' publication bench",
                pair.provider.conninfo(DB)
            ),
        );
    }

    fn in_sync(&mut self, pair: &Pair) -> bool {
        pair.ask_subscriber(
            "select (count(*) filter (where srsubstate <> 'r') = 0 and count(*) > 0)::text \
             from pg_subscription_rel",
        ) == "true"
    }

    fn stop_apply(&mut self, pair: &Pair) {
        pair.subscriber.psql(DB, "alter subscription bench disable");
        tests::wait_until(
            "the apply worker to end",
            std::time::Duration::from_secs(30),
            || {
                pair.provider
                    .psql(DB, "select count(*) from pg_stat_replication")
                    == "0"
            },
        );
    }

    fn start_apply(&mut self, pair: &Pair) {
        pair.subscriber.psql(DB, "alter subscription bench enable");
    }

    fn peak_rss_kb(&self) -> Option<u64> {
        // A backend of the subscriber: its resident size counts shared buffers.
        None
    }

    fn tear_down(&mut self, _pair: &Pair) {
        // The servers take it with them.
    }
}
